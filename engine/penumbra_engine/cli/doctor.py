"""`penumbra doctor`: whether everything a solve needs is there and works."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass

import typer

from penumbra import launcher
from penumbra.client import Client
from penumbra_engine.cli.engine import AsJson
from penumbra_engine.cli.show import show_json

#: Gigabytes of free disk below which a long shot may not fit, and below which hardly any does.
LITTLE_DISK, NO_DISK = 20, 2


@dataclass
class Check:
    """One line of the doctor: `state` is ok, warn or fail."""

    name: str
    state: str
    message: str


def doctor(as_json: AsJson = False) -> None:
    """Check libraries, GPU, colour config, folders and engine; exit code 5 if anything fails.

    Example: penumbra doctor
    """
    checks = [_check(name, look) for name, look in CHECKS.items()]
    if as_json:
        show_json({"checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            print(f"{check.state:<5} {check.name:<12} {check.message}")
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(5)


def _check(name: str, look: Callable[[], tuple[str, str]]) -> Check:
    try:
        state, message = look()
    except Exception as error:  # whatever it is, it is what the doctor was asked to find
        state, message = "fail", f"{error or type(error).__name__}"
    return Check(name, state, message)


def _torch() -> tuple[str, str]:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        return "ok", f"{torch.__version__}, GPU: {names}"
    if shutil.which("nvidia-smi"):
        return "warn", f"{torch.__version__} finds no GPU though there is an NVIDIA driver; solves run on the CPU"
    return "ok", f"{torch.__version__}, no GPU; solves run on the CPU"


def _pictures() -> tuple[str, str]:
    import OpenImageIO as oiio

    lacking = {"openexr", "png", "tiff", "dpx", "jpeg"} - set(oiio.get_string_attribute("format_list").split(","))
    if lacking:
        return "fail", f"{oiio.VERSION_STRING} can't read {', '.join(sorted(lacking))}; install Penumbra again"
    return "ok", oiio.VERSION_STRING


def _opencv() -> tuple[str, str]:
    import cv2

    lacking = [name for name in ("SIFT_create", "DISOpticalFlow_create", "USAC_MAGSAC") if not hasattr(cv2, name)]
    if lacking:
        return "fail", f"{cv2.__version__} lacks {', '.join(lacking)}; another OpenCV was installed over ours"
    return "ok", cv2.__version__


def _colour() -> tuple[str, str]:
    from penumbra_engine.media.colour import Config

    return "ok", Config.load().name


def _folder() -> tuple[str, str]:
    home = launcher.home()
    cache = home / "cache"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache) as file:
            file.write(b"penumbra")
    except OSError as error:
        return "fail", f"{cache} can't be written ({error.strerror}); set PENUMBRA_HOME to a folder of yours"
    free = shutil.disk_usage(cache).free / 1e9
    state = "fail" if free < NO_DISK else "warn" if free < LITTLE_DISK else "ok"
    return state, f"{home} can be written, {free:.0f} GB free"


def _engine() -> tuple[str, str]:
    runtime = launcher.find_engine()
    if runtime is None:
        return "ok", "does not run; the first job starts it"
    health = Client(runtime).health()
    return "ok", f"process {health.pid} is {health.state}, device: {health.device or 'not known yet'}"


CHECKS: dict[str, Callable[[], tuple[str, str]]] = {
    "torch": _torch,
    "OpenImageIO": _pictures,
    "OpenCV": _opencv,
    "OCIO config": _colour,
    "folder": _folder,
    "engine": _engine,
}
