"""Receives `watling config show`; gives the settings in force, with secrets hidden and where each comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from watling.cli import output
from watling.cli.examples import examples
from watling.cli.flags import flags, is_secret, settings

HIDDEN = "••••"
OPEN_TABLES = ("kafka.properties", "lake.catalog", "spark.kafka", "spark.properties")


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name="config", help="The settings in force.")

    @group.command(
        epilog=examples(
            ("watling config show", "all of them, and which were set"),
            ("watling config show --json", "for a script; secrets stay hidden"),
        )
    )
    def show(
        context: typer.Context, json_: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False
    ) -> None:
        """Print every setting, what set it, and the name of its environment variable. Secrets are hidden."""
        found = settings(context)
        body = hide(found.model_dump(mode="json"))
        if json_:
            output.as_json(body)
            return
        file = _file_values()
        given = {k for k in ("home", "contracts") if getattr(flags(context), k) is not None}
        rows = [[name, _text(value), _source(name, given, file), variable(name)] for name, value in flat(body) if name]
        output.table(["setting", "value", "set by", "environment variable"], rows)


def hide(body: dict[str, Any], path: str = "") -> dict[str, Any]:
    """The settings with every secret's value replaced."""
    hidden: dict[str, Any] = {}
    for name, value in body.items():
        if isinstance(value, dict):
            hidden[name] = hide(value, f"{path}{name}.")
        elif value is not None and (name == "sasl_password" or is_secret(name)):
            hidden[name] = HIDDEN
        elif name == "uri" and isinstance(value, str):
            hidden[name] = _without_password(value)
        else:
            hidden[name] = value
    return hidden


def flat(body: dict[str, Any], path: str = "") -> list[tuple[str, Any]]:
    """`(dotted name, value)` of all settings."""
    rows: list[tuple[str, Any]] = []
    for name, value in body.items():
        if isinstance(value, dict) and value:
            rows += flat(value, f"{path}{name}.")
        else:
            rows.append((f"{path}{name}", value))
    return rows


def variable(name: str) -> str:
    """The environment variable that sets it. Those whose keys are the user's own are set as a whole, in JSON."""
    name = next((table for table in OPEN_TABLES if name.startswith(f"{table}.")), name)
    return "WATLING_" + name.upper().replace(".", "__")


def _text(value: Any) -> str | None:
    return None if value is None else "{}" if value == {} else str(value)


def _source(name: str, given: set[str], file: set[str]) -> str:
    if name in given:
        return "flag"
    parts = name.split(".")
    for depth in range(len(parts), 0, -1):
        wanted = variable(".".join(parts[:depth]))
        if any(key.upper() == wanted for key in os.environ):
            return "environment"
    return "watling.toml" if name in file else "default"


def _file_values() -> set[str]:
    import tomllib

    path = Path("watling.toml")
    return {name for name, _ in flat(tomllib.loads(path.read_text(encoding="utf-8")))} if path.is_file() else set()


def _without_password(uri: str) -> str:
    head, at, tail = uri.rpartition("@")
    scheme, slashes, user = head.partition("://")
    if not at or ":" not in user:
        return uri
    return f"{scheme}{slashes}{user.split(':')[0]}:{HIDDEN}@{tail}"
