"""Memory: refuse what the machine can't hold before time is spent on it, and say how much it would take."""

import os
import re
from pathlib import Path

from penumbra_engine.errors import EngineError

_SYSTEM = Path("/proc/meminfo")  # of Linux


def require(needed: float, what: str, advice: str) -> None:
    """Raise EngineError where `needed` bytes are more than there are. what: takes them; advice: what to do instead."""
    free = available()
    if free is not None and needed > free:
        raise EngineError(f"{what} takes about {_told(needed)} of memory and {_told(free)} are free here: {advice}")


def available() -> float | None:
    """Bytes that a program can have without swapping; all there are where the system tells no more, None where it does
    not even tell that."""
    if _SYSTEM.exists() and (found := re.search(r"MemAvailable:\s+(\d+) kB", _SYSTEM.read_text())):
        return 1024.0 * int(found[1])
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return None


def _told(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
