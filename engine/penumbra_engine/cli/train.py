"""`penumbra train`: weights from pictures that a facility owns, or from none."""

from pathlib import Path
from typing import Annotated

import typer

from penumbra import launcher
from penumbra_engine.cli import words
from penumbra_engine.cli.show import show_json
from penumbra_engine.service.work import stdout_for_messages


def train(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="The network: small, rvm-BACKBONE, bgm-v1 or bgm-v2-BACKBONE.")
    ],
    out: Annotated[str, typer.Option(metavar="FILE", help="Where to write the weights (safetensors).")],
    data: Annotated[
        str, typer.Option(metavar="DIR|procedural", help="Folder with foreground/ and background/, or none.")
    ] = "procedural",
    steps: Annotated[int, typer.Option(metavar="N", help="Steps of training.")] = 2000,
    start: Annotated[str, typer.Option(metavar="FILE", help="Weights to begin with; random ones without.")] = "",
    adversarial: Annotated[
        bool,
        typer.Option("--adversarial", help="Go on from --start with takes without mattes: plate/, clean/ and mask/."),
    ] = False,
    seed: words.Seed = 0,
    as_json: words.AsJson = False,
) -> None:
    """Train a network on composites made on the fly. Stopped and run again, it goes on where it was.

    Example: penumbra train small --data layers --steps 5000 --out small.safetensors
    """
    from rich.progress import Progress

    from penumbra_engine.cache import Store
    from penumbra_engine.training.recipes import train_model
    from penumbra_engine.training.sources import PROCEDURAL

    folder = data if data == PROCEDURAL else words.absolute(data)
    to, begin = Path(words.absolute(out)), Path(words.absolute(start)) if start else None
    run = train_model(model, folder, steps, seed, to, Store(launcher.home() / "cache"), begin, adversarial)
    with stdout_for_messages(), Progress(transient=True) as bar:
        task = bar.add_task(f"train {model}", total=steps)
        while True:
            try:
                done, _ = next(run)
            except StopIteration as end:
                loss = end.value
                break
            bar.update(task, completed=done)
    if as_json:
        show_json({"weights": words.absolute(out), "loss": loss, "steps": steps})
    else:
        print(f"wrote {words.absolute(out)}, loss {loss:.4f} on the last views")
