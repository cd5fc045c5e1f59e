"""Receives the command line; runs one command, and ends the process with its exit code."""

from __future__ import annotations

import contextlib
import os
import sys


def main() -> None:
    """The `watling` command. It leaves without taking the interpreter down piece by piece, which takes seconds where much
    was loaded: by then the command has closed what it opened."""
    from watling.cli.commands import app

    code: object = 0
    try:
        app(prog_name="watling")
    except SystemExit as ended:
        code = ended.code
    with contextlib.suppress(OSError, ValueError):  # whoever read it has gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
