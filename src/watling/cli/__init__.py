"""Receives the command line; runs one command, and ends the process with its exit code."""

from __future__ import annotations


def main() -> None:
    """The `watling` command."""
    from watling.cli.commands import app

    app(prog_name="watling")
