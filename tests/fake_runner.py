"""A runner for tests of the service: quick, without pictures. The name of the plate says how the job goes."""

import ctypes
import os
import signal
import time
from collections.abc import Generator
from pathlib import Path

from penumbra.protocol import OmnimatteJob, Progress, Result
from penumbra_engine.errors import InputError

#: How long one step of "wait" takes, as a step of a real solve may.
STEP = 0.1


def run(job: OmnimatteJob, cache: Path) -> Generator[Progress, None, Result]:
    """Do what the last part of job.plate says, then return a result whose report is this process's id."""
    out = Path(job.out)
    out.mkdir(parents=True, exist_ok=True)
    yield Progress("register", 0, 1, 0.0)
    match Path(job.plate).name:
        case "done":
            pass
        case "wait":  # until the file `go` lies in the output; `steps` and `closed` say how far it came
            yield from _wait(out)
        case "busy":  # one long step, in Python
            try:
                (out / "steps").write_text("1")
                while True:
                    time.sleep(STEP)
            finally:
                (out / "closed").write_text("1")
        case "stuck":  # one long step, outside Python: no cancel comes through
            time.sleep(600)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash":
            ctypes.string_at(0)
        case "exit":
            os._exit(3)
        case "input":
            raise InputError("frame 1003 is missing", "--plate")
        case "bug":
            raise TypeError("unsupported operand")
        case "memory":
            raise MemoryError
        case "print":
            print("a library says hello on stdout", flush=True)
            os.write(1, b"and another one past Python\n")
        case "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
            yield from _wait(out)
    yield Progress("fit", 1, 2, 0.5, "half way")
    yield Progress("write", 1, 1, 1.0)
    folder = {mask.name: str(out / mask.name) for mask in getattr(job, "masks", [])}
    return Result(str(out), str(os.getpid()), str(cache), folder, job.frames, job.colorspace, 0.1, ["grain"])


def _wait(out: Path) -> Generator[Progress, None, None]:
    step = 0
    try:
        while not (out / "go").exists():
            step += 1
            (out / "steps.new").write_text(str(step))
            (out / "steps.new").replace(out / "steps")
            yield Progress("wait", step, 0, 0.1)
            time.sleep(STEP)
    finally:
        (out / "closed").write_text(str(step))
