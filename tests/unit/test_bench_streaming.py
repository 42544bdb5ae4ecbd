"""The table of speed: a row for every network, size and way, told against the first way."""

import json

import pytest

from penumbra_engine.bench import streaming
from penumbra_engine.cli import main


def test_every_way_has_its_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(streaming, "SIZES", ((32, 16),))
    monkeypatch.setattr(streaming, "VARIANTS", ("mobilenetv3",))
    assert main(["bench", "streaming", "--frames", "1", "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)
    assert [row["way"] for row in table["rows"]] == list(streaming.WAYS)
    assert table["rows"][0]["faster"] == 1 and all(row["frames/s"] > 0 for row in table["rows"])
