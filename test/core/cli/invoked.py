"""A command of the CLI as a user types it, without the catching of errors around it."""

from __future__ import annotations

from types import ModuleType

import typer
from typer.testing import CliRunner


def run(module: ModuleType, *words: object, code: int = 0) -> str:
    """What the command prints before it ends with `code`; its own errors are raised."""
    app = typer.Typer()
    app.command()(module.command)
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output
