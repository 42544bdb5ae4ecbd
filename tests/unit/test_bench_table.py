"""A table of figures for people and for programs."""

import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from penumbra_engine.bench.table import Table, write_tables


@pytest.fixture
def table() -> Table:
    table = Table("Mattes", "Protocol: by hand.", ("shot", "frames", "psnr", "mad"), notes=["mad: not measured"])
    table.add({"shot": "a|b", "frames": 36, "psnr": 44.3187, "mad": math.nan})
    table.add({"shot": "c", "psnr": 0.00021234})
    return table


def test_markdown(table: Table) -> None:
    assert table.markdown().splitlines() == [
        "## Mattes",
        "",
        "Protocol: by hand.",
        "",
        "| shot | frames | psnr | mad |",
        "| --- | --- | --- | --- |",
        "| a\\|b | 36 | 44.32 | - |",
        "| c | - | 0.0002123 | - |",
        "",
        "- mad: not measured",
    ]


def test_files_hold_figures_in_full_and_null_where_there_is_none(table: Table, tmp_path: Path) -> None:
    write_tables(tmp_path / "new", "mattes", [table])
    assert (tmp_path / "new" / "mattes.md").read_text() == table.markdown()
    (read,) = json.loads((tmp_path / "new" / "mattes.json").read_text())
    assert read["rows"][0] == {"shot": "a|b", "frames": 36, "psnr": 44.3187, "mad": None}


def test_the_console_shows_it(table: Table) -> None:
    console = Console(width=100, record=True)
    table.show(console)
    text = console.export_text()
    assert "44.32" in text and "not measured" in text


def test_a_slip_in_a_name_is_told(table: Table) -> None:
    with pytest.raises(ValueError, match="no column pnsr"):
        table.add({"pnsr": 1.0})
