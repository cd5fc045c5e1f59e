"""A command line run in this process, in an empty folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

Watling = Callable[..., Result]


@pytest.fixture
def watling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watling:
    """`watling("status", "--json")` as a user would say it; its result has exit_code, stdout and stderr."""
    import os

    for name in [n for n in os.environ if n.startswith("WATLING_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, stdin: str | None = None) -> Result:
        from watling.cli.commands import app

        return CliRunner().invoke(app, list(arguments), input=stdin, prog_name="watling")

    return run
