"""Tensors only: warps, flow, registration, compositing algebra, filters."""
