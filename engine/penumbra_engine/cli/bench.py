"""`penumbra bench`: what the solvers reach against truth and baselines, and what it costs."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from penumbra_engine.bench.table import Table, write_tables
from penumbra_engine.cli.engine import AsJson
from penumbra_engine.cli.show import show_json
from penumbra_engine.service.work import stdout_for_messages

#: The small shot with truth that comes with the sources.
_BUNDLED = Path(__file__).parents[3] / "tests" / "data"

app = typer.Typer(no_args_is_help=True)

Only = Annotated[str, typer.Option("--only", metavar="NAME", help="Take this shot or clip alone.")]
Shots = Annotated[str, typer.Option(metavar="DIR", help="Folder of shots with truth, or one such shot.")]
Out = Annotated[str, typer.Option("--out", metavar="DIR", help="Folder for the tables, and for what was solved.")]


@app.callback()
def bench() -> None:
    """Measure the solvers on shots whose truth is known.

    Example: penumbra bench omnimatte --shots shots --out /tmp/bench
    """


@app.command()
def omnimatte(
    shots: Annotated[str, typer.Option(metavar="DIR", help="Folder of shots with truth.")] = "",
    highway: Annotated[str, typer.Option(metavar="DIR", help="CDnet's highway: frames and groundtruth.")] = "",
    panels: Annotated[str, typer.Option(metavar="DIR", help="Omnimatte-SP's films of panels, in sets.")] = "",
    ablate: Annotated[bool, typer.Option("--ablate", help="Replace each stage by the truth instead.")] = False,
    paper: Annotated[
        bool, typer.Option("--paper", help="The paper's configuration too, for the time of ours.")
    ] = False,
    only: Only = "",
    out: Out = "",
    as_json: AsJson = False,
) -> None:
    """Our solver and the baselines on every shot of a folder.

    A shot is a folder with a shot.json. Without a folder it is the small shot that comes with the sources.

    Example: penumbra bench omnimatte --shots shots --only sun_wall --out /tmp/bench
    """
    from penumbra_engine.bench.ablation import ablate as ablate_shots
    from penumbra_engine.bench.highway import bench_highway
    from penumbra_engine.bench.omnimatte import bench_shots
    from penumbra_engine.bench.panels import bench_panels

    if not (shots or highway or panels):
        shots = str(_BUNDLED)
    tables = []
    with stdout_for_messages():
        if shots and ablate:
            tables.append(ablate_shots(Path(shots), only, tell))
        elif shots:
            tables += bench_shots(Path(shots), only, Path(out) if out else None, paper, tell)
        if highway:
            tables.append(bench_highway(Path(highway), tell))
        if panels:
            tables.append(bench_panels(Path(panels), only, tell))
    show_tables("ablation" if ablate else "omnimatte", tables, out, as_json)


@app.command()
def solvers(
    pictures: Annotated[str, typer.Option(metavar="DIR", help="alphamatting.com's training set: input, trimap1, gt.")],
    only: Only = "",
    out: Out = "",
    as_json: AsJson = False,
) -> None:
    """The matting solvers on stills with a true alpha, beside PyMatting's where it is installed.

    Example: penumbra bench solvers --pictures alphamatting --out bench/results
    """
    from penumbra_engine.bench.solvers import bench_solvers

    with stdout_for_messages():
        tables = bench_solvers(Path(pictures), only, tell)
    show_tables("solvers", tables, out, as_json)


@app.command("clean-plate")
def clean_plate(shots: Shots, only: Only = "", out: Out = "", as_json: AsJson = False) -> None:
    """Clean Plate Matte on every shot of one object: by a captured clean plate, the true one, and the shot's own.

    Example: penumbra bench clean-plate --shots shots --only fur_posters --out /tmp/bench
    """
    from penumbra_engine.bench.clean_plate import bench_clean_plate

    with stdout_for_messages():
        tables = bench_clean_plate(Path(shots), only, Path(out) if out else None, tell)
    show_tables("clean_plate", tables, out, as_json)


@app.command()
def trimap(shots: Shots, only: Only = "", out: Out = "", as_json: AsJson = False) -> None:
    """Trimap Propagate on every shot that has trimaps: from all of them, and from the middle one alone.

    Example: penumbra bench trimap --shots shots --only sun_wall --out /tmp/bench
    """
    from penumbra_engine.bench.trimap import bench_trimap

    with stdout_for_messages():
        tables = bench_trimap(Path(shots), only, Path(out) if out else None, tell)
    show_tables("trimap", tables, out, as_json)


@app.command()
def matte(
    shots: Shots = "",
    dancer: Annotated[str, typer.Option(metavar="DIR", help="Footage of a keyed dancer: rgba and plates.")] = "",
    steps: Annotated[int, typer.Option(metavar="N", help="Of training; 0 takes the usual number.")] = 0,
    next_keyframe: Annotated[
        bool, typer.Option("--next-keyframe", help="Is the suggested next keyframe worth more than one at random?")
    ] = False,
    only: Only = "",
    out: Out = "",
    as_json: AsJson = False,
) -> None:
    """Mattes learned from a few true keyframes on every shot of a folder, beside two baselines.

    Without a folder it is the small shot that comes with the sources. --next-keyframe keys the suggested frame and five
    random ones instead.

    Example: penumbra bench matte --shots shots --only pan_pair --out /tmp/bench
    """
    from penumbra_engine.bench.dancer import PHOTOGRAPH, compose_dancer
    from penumbra_engine.bench.matte import bench_mattes
    from penumbra_engine.bench.next_keyframe import bench_next_keyframe
    from penumbra_engine.bench.true_shot import TrueShot, find_shots

    with stdout_for_messages(), tempfile.TemporaryDirectory(prefix="penumbra-bench-") as temporary:
        chosen = find_shots(Path(shots or _BUNDLED), only) if shots or not dancer else []
        if dancer:
            compose_dancer(Path(dancer), PHOTOGRAPH, Path(temporary) / "dancer")
            chosen.append(TrueShot.open(Path(temporary) / "dancer"))
        if next_keyframe:
            table = bench_next_keyframe(chosen, steps, tell=tell)
        else:
            table = bench_mattes(chosen, Path(out) if out else None, steps, tell)
    show_tables("next_keyframe" if next_keyframe else "matte", [table], out, as_json)


@app.command()
def streaming(
    frames: Annotated[int, typer.Option(metavar="N", help="To time, after the first.")] = 3,
    out: Out = "",
    as_json: AsJson = False,
) -> None:
    """Frames a second of Robust Video Matting on this machine, with random weights: as it is, and as the node runs it.

    Example: penumbra bench streaming --frames 10
    """
    from penumbra_engine.bench.streaming import bench_streaming

    with stdout_for_messages():
        table = bench_streaming(frames, tell)
    show_tables("streaming", [table], out, as_json)


@app.command()
def growth(
    shots: Annotated[str, typer.Option(metavar="DIR", help="Folder of shots with truth, or one such shot.")] = "",
    only: Only = "",
    out: Out = "",
    as_json: AsJson = False,
) -> None:
    """How seconds and memory of Omnimatte Layers grow with frames (24 to 192) and with pixels (480x270 to 1920x1080).

    The shot is made longer and larger. Without a folder it is the small shot that comes with the sources.

    Example: penumbra bench growth --out /tmp/bench
    """
    from penumbra_engine.bench.growth import bench_growth

    with stdout_for_messages():
        tables = bench_growth(Path(shots or _BUNDLED), only, Path(out) if out else None, tell)
    show_tables("growth", tables, out, as_json)


def tell(line: str) -> None:
    """Say on stderr what is being done."""
    print(f"penumbra: {line}", file=sys.stderr, flush=True)


def show_tables(name: str, tables: list[Table], out: str, as_json: bool) -> None:
    """The tables for people or for programs, and as NAME.md and NAME.json in the output folder if there is one."""
    if out:
        write_tables(Path(out), name, tables)
    if as_json:
        show_json([table.as_json() for table in tables])
        return
    for table in tables:
        table.show(Console())
