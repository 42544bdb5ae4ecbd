"""`penumbra cache`: what earlier solves keep on disk so that later ones are quick."""

import time
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from penumbra import launcher
from penumbra.client import Client
from penumbra_engine.cache import Store
from penumbra_engine.cli.engine import AsJson
from penumbra_engine.cli.show import show_json
from penumbra_engine.errors import EngineError

app = typer.Typer(no_args_is_help=True)


@app.callback()
def cache() -> None:
    """Look after the finished stages of earlier solves.

    Example: penumbra cache prune --max-gb 50
    """


@app.command("list")
def list_entries(as_json: AsJson = False) -> None:
    """Show what the cache holds, by stage.

    Example: penumbra cache list
    """
    store = _store()
    entries = store.entries()
    if as_json:
        show_json([{**asdict(entry), "path": str(entry.path)} for entry in entries])
        return
    table = Table("stage", "entries", "size", "last used", box=None)
    for stage in sorted({entry.stage for entry in entries}):
        these = [entry for entry in entries if entry.stage == stage]
        used = time.strftime("%d %b %Y %H:%M", time.localtime(max(entry.last_used for entry in these)))
        table.add_row(stage, str(len(these)), _size(sum(entry.bytes for entry in these)), used)
    if entries:
        Console().print(table)
    print(f"{_size(sum(entry.bytes for entry in entries))} in {store.root}")


@app.command()
def prune(
    max_gb: Annotated[float, typer.Option(metavar="N", min=0, help="Gigabytes that may stay.")], as_json: AsJson = False
) -> None:
    """Remove what was used longest ago until the cache is no larger than this.

    Example: penumbra cache prune --max-gb 50
    """
    _check_no_job()
    _tell(_store().prune(int(max_gb * 1e9)), as_json)


@app.command()
def clear(as_json: AsJson = False) -> None:
    """Remove all of it; the next solve of every shot starts anew.

    Example: penumbra cache clear
    """
    _check_no_job()
    _tell(_store().clear(), as_json)


def _store() -> Store:
    return Store(launcher.home() / "cache")


def _check_no_job() -> None:
    runtime = launcher.find_engine()
    job = Client(runtime).health().running if runtime else ""
    if job:
        raise EngineError(f"job {job} is in work and reads the cache; wait for it or run `penumbra cancel {job}`")


def _tell(removed: int, as_json: bool) -> None:
    if as_json:
        show_json({"removed_bytes": removed})
    else:
        print(f"removed {_size(removed)}")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
