"""The Penumbra engine: pictures in, premultiplied layers out. It never imports a host's modules."""

__version__ = "0.1.0"
