"""Picture sequences, colour spaces, windows and metadata. It knows nothing of torch models."""

from penumbra_engine.files import write_atomically
from penumbra_engine.media.colour import ColourSpace, Config
from penumbra_engine.media.encoding import decode, encode, srgb_encode
from penumbra_engine.media.picture import (
    Header,
    Picture,
    Typed,
    exceeds_half,
    read_header,
    read_mask,
    read_picture,
    write_picture,
)
from penumbra_engine.media.sequence import Sequence
from penumbra_engine.media.shot import Shot, check_out
from penumbra_engine.media.windows import Window

__all__ = [
    "ColourSpace",
    "Config",
    "Header",
    "Picture",
    "Sequence",
    "Shot",
    "Typed",
    "Window",
    "check_out",
    "decode",
    "encode",
    "exceeds_half",
    "read_header",
    "read_mask",
    "read_picture",
    "srgb_encode",
    "write_atomically",
    "write_picture",
]
