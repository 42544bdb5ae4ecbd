"""The Penumbra engine: pictures in, premultiplied layers out. It never imports a host's modules."""

import os

# Before torch is loaded: its threads sleep between two loops instead of spinning. On a machine that does anything else
# at the same time (a compositor's does) spinning made a solve ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Before NumPy is: frames are solved side by side, and what is left for OpenBLAS are small blocks, which its threads
# make ten times slower (a Cholesky factor in narrow bands took 44 ms for 4.7).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
