"""One table of figures: the same for people on the console, for Markdown and for programs."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Column
from rich.table import Table as ConsoleTable

from penumbra_engine.files import write_atomically

_WIDEST = 1000  # characters

Cell = str | int | float | None


@dataclass
class Table:
    """title: one line. protocol: whose definitions the figures follow, and on what they are taken. columns: names in
    order. notes: lines below the table, such as what was not measured and why."""

    title: str
    protocol: str
    columns: Sequence[str]
    rows: list[dict[str, Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, cells: Mapping[str, Cell]) -> None:
        """Add a row; a column it lacks stays empty. Raises ValueError for a name that is no column."""
        strange = set(cells) - set(self.columns)
        if strange:
            raise ValueError(f"the table {self.title!r} has no column {', '.join(sorted(strange))}")
        self.rows.append(dict(cells))

    def markdown(self) -> str:
        """The table with its title, protocol and notes."""
        lines = [f"## {self.title}", "", self.protocol, ""]
        lines += [_line(self.columns), _line(["---"] * len(self.columns))]
        lines += [_line([shown(row.get(name)).replace("|", "\\|") for name in self.columns]) for row in self.rows]
        return "\n".join([*lines, *([""] if self.notes else []), *(f"- {note}" for note in self.notes), ""])

    def as_json(self) -> dict[str, object]:
        """The table as JSON can hold it, figures in full; null where there is none."""
        rows = [{name: _plain(row.get(name)) for name in self.columns} for row in self.rows]
        return {"title": self.title, "protocol": self.protocol, "rows": rows, "notes": self.notes}

    def show(self, console: Console) -> None:
        """Print the table."""
        printed = ConsoleTable(*(Column(name, no_wrap=True) for name in self.columns), box=None)
        for row in self.rows:
            printed.add_row(*(shown(row.get(name)) for name in self.columns))
        console.print(self.title, style="bold", markup=False)
        console.print(self.protocol, markup=False)
        # A table wider than the console is for a pager or a file; squeezed it would be for nobody.
        wanted = console.measure(printed, options=console.options.update(width=_WIDEST)).maximum
        console.width = max(console.width, wanted)
        console.print(printed)
        for note in self.notes:
            console.print(f"- {note}", markup=False)


def write_tables(folder: Path, name: str, tables: Sequence[Table]) -> None:
    """Write `NAME.md` and `NAME.json` into the folder. Raises EngineError when the disk is full."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{name}.md", "\n".join(table.markdown() for table in tables).encode())
    text = json.dumps([table.as_json() for table in tables], indent=1, ensure_ascii=False)
    write_atomically(folder / f"{name}.json", text.encode())


def shown(cell: Cell) -> str:
    """A cell as people read it: four significant digits, `-` where there is no figure."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "-"
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.4g}" if abs(cell) < 1000 else f"{cell:.0f}"


def _line(words: Sequence[str]) -> str:
    return "| " + " | ".join(words) + " |"


def _plain(cell: Cell) -> Cell:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell
