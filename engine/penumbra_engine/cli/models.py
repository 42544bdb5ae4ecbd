"""`penumbra models`: the weights of published networks that users bring along."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from penumbra import launcher
from penumbra_engine.cli.engine import AsJson
from penumbra_engine.cli.show import show_json

if TYPE_CHECKING:  # torch takes seconds to load: only where a command needs it
    from penumbra_engine.models.checkpoints import Added, Checkpoints

app = typer.Typer(no_args_is_help=True)


@app.callback()
def models() -> None:
    """Look after the weights of published networks; none come with Penumbra.

    Example: penumbra models add rvm_mobilenetv3.pth
    """


@app.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .pth or .safetensors.")], as_json: AsJson = False
) -> None:
    """Recognise a checkpoint, show its licence and keep a copy.

    Example: penumbra models add rvm_mobilenetv3.pth
    """
    added = _checkpoints().add(file.expanduser())
    if as_json:
        show_json(_told(added))
        return
    print(f"{added.kind.name}: {added.kind.title}, licence of the weights: {added.kind.licence}")
    print(f"kept as {added.path}")


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """Show which networks there are, their licences, and whose weights were added.

    Example: penumbra models list
    """
    from penumbra_engine.models.checkpoints import KINDS

    checkpoints = _checkpoints()
    added = {one.kind.name: one for one in checkpoints.added()}
    if as_json:
        show_json([_told(one) for one in added.values()])
        return
    table = Table("name", "network", "licence", "weights", box=None)
    for kind in KINDS.values():
        one = added.get(kind.name)
        table.add_row(kind.name, kind.title, kind.licence, one.sha256[:12] if one else "not added")
    Console().print(table)
    print(f"policy of this facility: {checkpoints.policy()}")


@app.command()
def remove(name: Annotated[str, typer.Argument(metavar="NAME", help="As `penumbra models list` shows it.")]) -> None:
    """Remove the copy of a checkpoint.

    Example: penumbra models remove rvm-mobilenetv3
    """
    _checkpoints().remove(name)
    print(f"removed {name}")


def _checkpoints() -> Checkpoints:
    from penumbra_engine.models.checkpoints import Checkpoints

    return Checkpoints(launcher.home() / "models")


def _told(added: Added) -> dict[str, object]:
    kind = added.kind
    return {
        "name": kind.name,
        "title": kind.title,
        "licence": kind.licence,
        "sha256": added.sha256,
        "bytes": added.bytes,
        "path": str(added.path),
    }
