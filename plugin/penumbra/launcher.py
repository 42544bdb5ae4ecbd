"""Find the engine of this user, or start it. Standard library only: hosts call this from their own Python."""

import os
import sys
from pathlib import Path


def home() -> Path:
    """The folder of this user's engine: cache, runtime file, logs and jobs. $PENUMBRA_HOME chooses another one."""
    chosen = os.environ.get("PENUMBRA_HOME")
    if chosen:
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "Penumbra"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Penumbra"
    return Path.home() / ".local" / "share" / "penumbra"
