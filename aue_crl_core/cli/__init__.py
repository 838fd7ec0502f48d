"""The command line: one file a command, each a function `command` with typer annotations."""
