"""One module a host: everything that touches its Python API."""
