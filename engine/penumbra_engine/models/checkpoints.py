"""Weights that users supply: recognised by their keys and shapes, kept as safetensors, and bound to their licence.

Nothing in a file is run: .pth is read by torch's reader of plain tensors, and what that refuses is refused here.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from penumbra_engine.errors import EngineError, InputError, UsageError
from penumbra_engine.files import file_error, replacing
from penumbra_engine.models.bgm_v1 import BackgroundMatting
from penumbra_engine.models.bgm_v2 import BACKBONES, BackgroundMattingV2
from penumbra_engine.models.dim import DeepImageMatting
from penumbra_engine.models.dvm import DeepVideoMatting
from penumbra_engine.models.indexnet import IndexNet
from penumbra_engine.models.rvm import RobustVideoMatting

POLICY_VARIABLE, POLICY_FILE = "PENUMBRA_MODEL_POLICY", "model-policy"
_WRAPPERS = ("state_dict", "model_state_dict", "model")  # under which training scripts keep the weights
_PARALLEL = "module."  # put before every key by torch's DataParallel


class Terms(IntEnum):
    """What a licence asks for, the freest first."""

    PERMISSIVE = 0
    COPYLEFT = 1
    NO_COMMERCE = 2  # forbidden, or not permitted by anything that was published


#: What each policy still allows.
POLICIES = {"permissive": Terms.PERMISSIVE, "commercial-safe": Terms.COPYLEFT, "any": Terms.NO_COMMERCE}


@dataclass(frozen=True)
class Kind:
    """A network whose weights can be added. build: makes it with random weights."""

    name: str
    title: str
    licence: str
    terms: Terms
    build: Callable[[], nn.Module]


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "rvm-mobilenetv3",
            "Robust Video Matting, MobileNetV3",
            "GPL-3.0",
            Terms.COPYLEFT,
            lambda: RobustVideoMatting("mobilenetv3"),
        ),
        Kind(
            "rvm-resnet50",
            "Robust Video Matting, ResNet-50",
            "GPL-3.0",
            Terms.COPYLEFT,
            lambda: RobustVideoMatting("resnet50"),
        ),
        Kind("bgm-v1", "Background Matting", "CC BY-NC-SA", Terms.NO_COMMERCE, BackgroundMatting),
        *(
            Kind(
                f"bgm-v2-{name}",
                f"Background Matting V2, {name}",
                "MIT",
                Terms.PERMISSIVE,
                partial(BackgroundMattingV2, name),
            )
            for name in BACKBONES
        ),
        Kind("dim", "Deep Image Matting", "academic use only", Terms.NO_COMMERCE, DeepImageMatting),
        Kind("indexnet", "IndexNet Matting", "academic use only", Terms.NO_COMMERCE, IndexNet),
        Kind("dvm", "Deep Video Matting, one frame back", "no licence published", Terms.NO_COMMERCE, DeepVideoMatting),
    )
}


@dataclass(frozen=True)
class Added:
    """One checkpoint that is kept. sha256: of names, shapes and values of the weights, whatever file they came in."""

    kind: Kind
    sha256: str
    bytes: int
    path: Path


@dataclass(frozen=True)
class Loaded:
    """A network in evaluation mode with its weights, and what a file that it helped to make says of it."""

    network: nn.Module
    kind: Kind
    sha256: str


class Checkpoints:
    """The checkpoints under one folder, `models` in the home of the engine: one file NAME.safetensors a kind."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def add(self, file: Path) -> Added:
        """Recognise a .pth or .safetensors and keep it, in the place of an earlier one of its kind.

        Raises InputError for a file that is missing, truncated, holds code or is of no kind known here, UsageError
        for one whose licence the facility's policy forbids.
        """
        state = read(Path(file))
        kind = recognise(state, Path(file))
        self._check_policy(kind)
        digest = weights_hash(state)
        path = self._path(kind.name)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise file_error(error, self.root) from error
        with replacing(path) as temporary:
            safetensors.torch.save_file(
                {name: value.contiguous().clone() for name, value in state.items()},
                temporary,
                {"kind": kind.name, "licence": kind.licence, "sha256": digest},
            )
        return Added(kind, digest, path.stat().st_size, path)

    def added(self) -> list[Added]:
        """What is there, in the order of KINDS. Raises EngineError for a damaged file."""
        kept = [(kind, self._path(kind.name)) for kind in KINDS.values()]
        return [Added(kind, _noted_hash(path), path.stat().st_size, path) for kind, path in kept if path.is_file()]

    def remove(self, name: str) -> None:
        """Forget the checkpoint of that kind. Raises UsageError when there is none."""
        self._existing(name).unlink()

    def load(self, name: str) -> Loaded:
        """The network of that kind with the weights that were added.

        Raises UsageError for an unknown name, weights that were not added or whose licence the policy forbids, and
        EngineError when the file was damaged since.
        """
        path = self._existing(name)
        kind = KINDS[name]
        self._check_policy(kind)
        noted = _noted_hash(path)
        state = safetensors.torch.load_file(path)
        if weights_hash(state) != noted:
            raise _damaged(path)
        network = kind.build()
        network.load_state_dict(state)
        return Loaded(network.eval(), kind, noted)

    def policy(self) -> str:
        """What the facility allows, one of POLICIES: $PENUMBRA_MODEL_POLICY, else the word in the file `model-policy`
        beside the folder, else any. Raises UsageError for another word."""
        file = self.root.parent / POLICY_FILE
        source, word = f"${POLICY_VARIABLE}", os.environ.get(POLICY_VARIABLE, "").strip()
        if not word and file.is_file():
            source, word = str(file), file.read_text(encoding="utf-8").strip()
        if word and word not in POLICIES:
            raise UsageError(f"{source} says {word!r}; it can say {', '.join(POLICIES)}")
        return word or "any"

    def _check_policy(self, kind: Kind) -> None:
        policy = self.policy()
        if kind.terms > POLICIES[policy]:
            raise UsageError(
                f"{kind.name} ({kind.title}) is under {kind.licence}, which this facility's policy {policy!r} forbids; "
                f"ask who set ${POLICY_VARIABLE} or the file {self.root.parent / POLICY_FILE}"
            )

    def _existing(self, name: str) -> Path:
        if name not in KINDS:
            raise UsageError(f"there is no network {name!r}; there are {', '.join(KINDS)}")
        path = self._path(name)
        if not path.is_file():
            raise UsageError(f"the weights of {name} were not added; get them and run `penumbra models add FILE`")
        return path

    def _path(self, name: str) -> Path:
        return self.root / f"{name}.safetensors"


def read(file: Path) -> dict[str, Tensor]:
    """The tensors of a .pth or .safetensors by their keys, without what training scripts put round or before them.

    Raises InputError, as `Checkpoints.add` says.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such file; name a .pth or .safetensors")
    try:
        if file.suffix == ".safetensors":
            content: Any = safetensors.torch.load_file(file)
        else:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # readers of broken files raise all sorts
        if "unsupported global" in str(error).lower():  # the reader of plain tensors met a name of code
            raise InputError(f"{file} holds code beside its weights and is refused; ask for plain weights") from error
        raise _unreadable(file) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise InputError(f"{file} holds no weights by name; name a checkpoint of {', '.join(KINDS)}")
    state = {str(name): value for name, value in content.items()}
    if all(name.startswith(_PARALLEL) for name in state):
        state = {name.removeprefix(_PARALLEL): value for name, value in state.items()}
    return state


def recognise(state: Mapping[str, Tensor], file: Path) -> Kind:
    """The kind whose keys and shapes are exactly these. Raises InputError that says what is nearest."""
    found = {name: tuple(value.shape) for name, value in state.items()}
    shared = {}
    for kind in KINDS.values():
        expected = shapes(kind)
        if found == expected:
            return kind
        shared[kind] = len(found.items() & expected.items()), len(expected)
    nearest = max(shared, key=lambda kind: shared[kind][0] / shared[kind][1])
    common, whole = shared[nearest]
    hint = f"; nearest is {nearest.name}, with {common} of its {whole}" if common else ""
    raise InputError(
        f"{file} is of no kind that is known here: {len(found)} entries{hint}. Known are {', '.join(KINDS)}"
    )


def shapes(kind: Kind) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a kind's state. No weights are made."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in kind.build().state_dict().items()}


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _noted_hash(path: Path) -> str:
    try:
        with safetensors.safe_open(path, "pt") as file:
            return file.metadata()["sha256"]
    except (safetensors.SafetensorError, KeyError, TypeError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> EngineError:
    return EngineError(f"{path} is damaged; run `penumbra models remove {path.stem}` and add the weights again")


def _unreadable(file: Path) -> InputError:
    return InputError(f"{file} can't be read as weights: truncated, or no .pth or .safetensors; get it again")
