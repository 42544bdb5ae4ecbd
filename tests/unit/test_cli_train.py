"""`penumbra train`: weights out of it, and what is wrong."""

import json
from pathlib import Path

import pytest

from commands import Capture
from penumbra_engine.cli import main


def test_train_writes_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture) -> None:
    from penumbra_engine.training import recipes

    monkeypatch.setattr(recipes, "_SIDE", 32)
    out = tmp_path / "new" / "small.safetensors"
    assert main(["train", "small", "--out", str(out), "--steps", "1", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["weights"] == str(out) and said["steps"] == 1 and out.stat().st_size > 1e6


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [(["big"], 2, "small"), (["small", "--steps", "0"], 2, "--steps"), (["small", "--data", "nowhere"], 3, "nowhere")],
)
def test_train_says_what_is_wrong(tmp_path: Path, words: list[str], code: int, said: str, capfd: Capture) -> None:
    assert main(["train", *words, "--out", str(tmp_path / "out")]) == code
    assert said in capfd.readouterr().err
