"""Omnimatte Layers: plate and rough masks in, a layer of each object with its effects out, one stage a file."""
