"""Checkpoints that users add: recognised, kept, loaded, and every reason to refuse one."""

import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from penumbra_engine.cli import main
from penumbra_engine.errors import EngineError, InputError, UsageError
from penumbra_engine.models.checkpoints import KINDS, POLICY_VARIABLE, Checkpoints, shapes

NAME = "rvm-mobilenetv3"
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    torch.manual_seed(0)
    return KINDS[NAME].build().state_dict()


@pytest.fixture
def file(state: State, tmp_path: Path) -> Path:
    torch.save(state, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


@pytest.fixture
def checkpoints(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoints:
    monkeypatch.delenv(POLICY_VARIABLE, raising=False)
    return Checkpoints(own_home / "models")


def test_what_was_added_is_loaded_with_its_hash(checkpoints: Checkpoints, file: Path, state: State) -> None:
    added = checkpoints.add(file)
    assert (added.kind.name, added.kind.licence) == (NAME, "GPL-3.0")
    loaded = checkpoints.load(NAME)
    assert loaded.sha256 == added.sha256 and not loaded.network.training
    assert all(torch.equal(value, state[name]) for name, value in loaded.network.state_dict().items())
    assert [one.kind.name for one in checkpoints.added()] == [NAME]
    checkpoints.remove(NAME)
    assert checkpoints.added() == []


def test_the_same_weights_have_one_hash_whatever_they_came_in(
    checkpoints: Checkpoints, file: Path, state: State, tmp_path: Path
) -> None:
    wrapped, plain = tmp_path / "wrapped.pth", tmp_path / "plain.safetensors"
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3}, wrapped)
    safetensors.torch.save_file(state, plain)
    assert len({checkpoints.add(path).sha256 for path in (file, wrapped, plain)}) == 1
    other = {**state, "project_mat.conv.bias": state["project_mat.conv.bias"] + 1}
    torch.save(other, wrapped)
    assert checkpoints.add(wrapped).sha256 != checkpoints.add(file).sha256


def test_kinds_are_told_apart() -> None:
    known = [frozenset(shapes(kind).items()) for kind in KINDS.values()]
    assert len(set(known)) == len(KINDS)


def test_weights_that_were_not_added_are_asked_for(checkpoints: Checkpoints) -> None:
    with pytest.raises(UsageError, match="penumbra models add FILE"):
        checkpoints.load(NAME)
    with pytest.raises(UsageError, match=r"no network 'rwm'.*rvm-resnet50"):
        checkpoints.load("rwm")


def test_another_networks_weights_are_refused(checkpoints: Checkpoints, state: State, tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    torch.save({name: value for name, value in state.items() if name != "project_mat.conv.bias"}, file)
    with pytest.raises(InputError, match="379 entries; nearest is rvm-mobilenetv3, with 379 of its 380"):
        checkpoints.add(file)
    torch.save([1, 2], file)
    with pytest.raises(InputError, match="no weights by name"):
        checkpoints.add(file)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_truncated_file_is_refused(checkpoints: Checkpoints, state: State, tmp_path: Path, suffix: str) -> None:
    whole, part = tmp_path / f"whole{suffix}", tmp_path / f"part{suffix}"
    torch.save(state, whole) if suffix == ".pth" else safetensors.torch.save_file(state, whole)
    for size in (0, 10, whole.stat().st_size // 2):
        part.write_bytes(whole.read_bytes()[:size])
        with pytest.raises(InputError, match=r"part\.\w+ can't be read as weights: truncated"):
            checkpoints.add(part)
    assert not checkpoints.root.exists()


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_refused_and_not_run(checkpoints: Checkpoints, tmp_path: Path, zipped: bool) -> None:
    file, crater = tmp_path / "bomb.pth", tmp_path / "crater"
    torch.save({"state_dict": Bomb(crater)}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match="holds code"):
        checkpoints.add(file)
    assert not crater.exists()


def test_a_licence_that_the_policy_forbids_is_refused_by_name(
    checkpoints: Checkpoints, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POLICY_VARIABLE, "commercial-safe")
    checkpoints.add(file)
    monkeypatch.setenv(POLICY_VARIABLE, "permissive")
    for refused in (lambda: checkpoints.add(file), lambda: checkpoints.load(NAME)):
        with pytest.raises(UsageError, match=r"rvm-mobilenetv3 .* under GPL-3\.0, which .* 'permissive' forbids"):
            refused()
    monkeypatch.setenv(POLICY_VARIABLE, "free")
    with pytest.raises(UsageError, match="says 'free'; it can say permissive, commercial-safe, any"):
        checkpoints.load(NAME)


def test_the_policy_may_lie_in_a_file_of_the_home(checkpoints: Checkpoints, file: Path, own_home: Path) -> None:
    own_home.mkdir(exist_ok=True)
    (own_home / "model-policy").write_text("permissive\n")
    with pytest.raises(UsageError, match="model-policy"):
        checkpoints.add(file)


def test_a_copy_that_was_damaged_since_is_not_used(checkpoints: Checkpoints, file: Path) -> None:
    path = checkpoints.add(file).path
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(EngineError, match=r"is damaged.*models remove rvm-mobilenetv3"):
        checkpoints.load(NAME)


def test_the_command_adds_lists_and_removes(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "add", str(file)]) == 0
    assert "licence of the weights: GPL-3.0" in capfd.readouterr().out
    assert main(["models", "list"]) == 0
    assert "rvm-resnet50" in capfd.readouterr().out
    assert main(["models", "remove", NAME]) == 0
    assert main(["models", "remove", NAME]) == 2
    assert main(["models", "add", "nowhere.pth"]) == 3
