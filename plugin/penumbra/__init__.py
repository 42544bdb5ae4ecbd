"""The host side of Penumbra: what runs inside Nuke and Natron. Standard library only, Python 3.7 syntax."""

__version__ = "0.1.0"
