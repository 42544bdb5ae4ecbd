"""Matting solvers and foreground estimation: one algorithm a file."""
