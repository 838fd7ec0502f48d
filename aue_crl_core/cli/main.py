"""`aue-crl`: the table of commands. A command's module is imported when the command is used, not before."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from aue_crl_core import __version__
from aue_crl_core.errors import AueCrlError, CheckpointError, ConfigError, MissingDependencyError

USAGE_ERROR: Final = 2
FAILURE: Final = 1
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_USAGE: Final = (ConfigError, CheckpointError, MissingDependencyError)


class _Row(NamedTuple):
    module: str
    summary: str


COMMANDS: Final = {
    "run": _Row("aue_crl_core.cli.run", "Recognise faces in images, folders, videos or a camera."),
    "demo": _Row("aue_crl_core.cli.demo", "Recognise the face in a photograph that is already on this machine."),
    "doctor": _Row("aue_crl_core.cli.doctor", "Say what is installed, what works here, and what to do about the rest."),
    "bench": _Row("aue_crl_core.cli.bench", "Measure faces per second and milliseconds on this machine."),
    "node": _Row("aue_crl_core.cli.node", "Serve a robot's camera topics over DDS, without ROS."),
    "prepare": _Row("aue_crl_core.cli.prepare", "Find faces and points in a dataset and write its index."),
    "train": _Row("aue_crl_core.cli.train", "Train a network, stage by stage, on an index."),
    "compare": _Row("aue_crl_core.cli.compare", "Train several methods alike and compare them on a test split."),
    "evaluate": _Row("aue_crl_core.cli.evaluate", "Measure weights on an index and compare with published results."),
    "report": _Row(
        "aue_crl_core.cli.report", "Turn the rows of run, or a bag, into a page, tidy tables and ELAN files."
    ),
    "calibrate": _Row(
        "aue_crl_core.cli.calibrate", "Fit the confidences of weights to labelled faces, without training."
    ),
    "export": _Row("aue_crl_core.cli.export", "Turn a checkpoint into ONNX files for the run-time engine."),
    "import-upstream": _Row("aue_crl_core.cli.import_upstream", "Turn a checkpoint of the authors' code into ours."),
    "bag": _Row("aue_crl_core.cli.bag", "Write a ROS bag again with the expression topics added."),
}


_CONTEXT: Final = {"help_option_names": ["-h", "--help"]}


class CommandTable(TyperGroup):
    """The commands of `COMMANDS`: stand-ins with the summary only, until one is used, so that listing imports none."""

    def __init__(self, **attributes: Any) -> None:
        stand_ins = {name: TyperCommand(name, help=row.summary) for name, row in COMMANDS.items()}
        super().__init__(**{**attributes, "commands": stand_ins})

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command itself: imports its module."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, None if stand_in is None else _load(stand_in.name), rest


def _load(name: str) -> Any:
    single = typer.Typer(add_completion=False, context_settings=_CONTEXT)
    single.command(name)(importlib.import_module(COMMANDS[name].module).command)
    return typer.main.get_command(single)


app = typer.Typer(
    cls=CommandTable,
    name="aue-crl",
    no_args_is_help=True,
    context_settings=_CONTEXT,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"aue-crl {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Facial expressions and action units from images, videos and cameras.

    Exit codes: 0 all went well; 1 something failed, the rest was done; 2 the command cannot be carried out as given.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (`arguments` None: those of the process) and exit.

    An `AueCrlError` is printed as one line: exit code 2 for settings, weights and packages, 1 for the rest. So is a
    disk that takes no more, whatever was written.
    """
    try:
        app(None if arguments is None else list(arguments), prog_name="aue-crl")
    except AueCrlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USAGE_ERROR if isinstance(error, _USAGE) else FAILURE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains on its way out
        sys.exit(FAILURE)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        where = f"{error.filename} cannot be written: " if error.filename else ""
        print(f"error: {where}{error.strerror}; make room, and start the same command again", file=sys.stderr)
        sys.exit(FAILURE)


if __name__ == "__main__":
    main()
