"""The `penumbra` command: the same words as the nodes, the wire and the files."""

import json
import sys
from collections.abc import Sequence

import typer

from penumbra import client
from penumbra.protocol import Failure, to_wire
from penumbra_engine.cli import bench, cache, doctor, engine, models, run, train
from penumbra_engine.cli.show import Ended
from penumbra_engine.service.work import failure_of

app = typer.Typer(
    help="Shadow-inclusive mattes for compositors: layers of objects with all their effects.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(run.app, name="run")
app.command()(engine.serve)
app.command()(engine.status)
app.command()(engine.cancel)
app.command()(doctor.doctor)
app.add_typer(cache.app, name="cache")
app.add_typer(bench.app, name="bench")
app.command()(train.train)
app.add_typer(models.app, name="models")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code. What goes wrong is one message on stderr, and with --json one
    object on stdout."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return app(words, prog_name="penumbra", standalone_mode=False) or 0
    except Exception as error:
        failure = _failure(error)
    if "--json" in words:
        print(json.dumps(to_wire(failure)))
    print(f"penumbra: {failure.message}", file=sys.stderr)
    return failure.code


def _failure(error: Exception) -> Failure:
    if isinstance(error, Ended | client.EngineError):
        return error.failure
    if isinstance(error, typer.TyperException):
        parameter = getattr(error, "param", None)
        argument = parameter.opts[0] if parameter is not None else getattr(error, "option_name", "")
        context = getattr(error, "ctx", None)
        hint = f" See `{context.command_path} --help`." if context is not None else ""
        said = error.format_message() or "Name a command."
        return Failure(error.exit_code, said + ("" if said[-1] in ".?!)" else ".") + hint, argument)
    return failure_of(error)
