"""Errors a user can act on. Each message names the file, frame or argument, what was expected and what to do."""

from penumbra.protocol import ErrorCode


class PenumbraError(Exception):
    """Base of all errors that are shown to the user as one message, without a traceback."""

    code = ErrorCode.ENGINE

    def __init__(self, message: str, argument: str = "") -> None:
        super().__init__(message)
        self.argument = argument


class UsageError(PenumbraError):
    """The request itself is not well formed."""

    code = ErrorCode.USAGE


class InputError(PenumbraError):
    """A file, frame or setting that the request names can't be used."""

    code = ErrorCode.INPUT


class UnsolvableError(PenumbraError):
    """The input is readable, but no solve is possible from it; the message says why."""

    code = ErrorCode.UNSOLVABLE


class EngineError(PenumbraError):
    """The engine could not do its work (disk full, memory, a worker that died)."""

    code = ErrorCode.ENGINE
