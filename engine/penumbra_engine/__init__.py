"""The Penumbra engine: pictures in, premultiplied layers out. It never imports a host's modules."""

import os

# Before torch is loaded: its threads sleep between two loops instead of spinning. On a machine that does anything else
# at the same time (a compositor's does) spinning made a solve ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
