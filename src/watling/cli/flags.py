"""Receives the options that stand before a command; gives each command its settings, contracts and log, read once."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watling.errors import UnreachableError

if TYPE_CHECKING:
    import typer
    from pyiceberg.catalog import Catalog

    from watling.config import Settings
    from watling.contracts.model import Contract

LOG_NAMES: dict[str, str] = {"run": "pipeline"}
"""Commands whose process is called otherwise in logs and status."""


@dataclass(frozen=True, slots=True)
class Flags:
    """What was said before the command. `verbosity` counts `-v`."""

    home: Path | None = None
    contracts: Path | None = None
    verbosity: int = 0
    command: str = "watling"

    @property
    def process(self) -> str:
        """What this process is called in the logs."""
        return LOG_NAMES.get(self.command, self.command)


def flags(context: typer.Context) -> Flags:
    """The flags of this call."""
    found = context.find_root().obj
    return found if isinstance(found, Flags) else Flags()


def settings(context: typer.Context, **sections: Any) -> Settings:
    """The settings in force: flags over environment over file over default. The log is set up with them.

    `sections` are further values from the command line. Long-running commands also tell what they do on stderr.

    Raises:
        ConfigError: with every problem.
    """
    from watling.config import load_settings
    from watling.ops import logs

    given = flags(context)
    values: dict[str, Any] = {k: v for k, v in (("home", given.home), ("contracts", given.contracts)) if v is not None}
    found = load_settings(**values, **sections)
    levels = (logging.WARNING, logging.INFO, logging.DEBUG)
    console = levels[min(given.verbosity, 2)]
    logs.configure(found.home, given.process, console=console, secrets=secrets(found), detailed=given.verbosity > 1)
    return found


def contracts(found: Settings) -> dict[str, Contract]:
    """The contracts in force. Raises ContractError with every fault."""
    from watling.contracts import load_contracts

    return load_contracts(found.contracts_dir)


def open_lake(found: Settings, *, or_empty: bool = False) -> Catalog:
    """The lake's catalog, for commands that only look at what is there. With `or_empty` one without tables, in memory,
    when there is no lake yet.

    Raises:
        UnreachableError: there is no lake yet, or its catalog does not answer.
    """
    from watling.app import lake_exists

    if not lake_exists(found):
        if or_empty:
            from pyiceberg.catalog import load_catalog

            empty = load_catalog(found.lake.catalog_name, type="sql", uri="sqlite:///:memory:", warehouse="memory")
            empty.create_namespace(found.lake.namespace)
            return empty
        raise UnreachableError(
            f"there is no lake in {found.home.resolve()} yet. Fill one with `watling up --simulate`, or name the home that "
            "has it: `watling --home DIR …`"
        )
    from watling.lake.catalog import open_catalog

    return open_catalog(found)


def secrets(found: Settings) -> set[str]:
    """Values that no log, message or output may hold."""
    hidden = {value for name, value in all_properties(found).items() if is_secret(name)}
    if found.kafka.sasl_password is not None:
        hidden.add(found.kafka.sasl_password.get_secret_value())
    return {value for value in hidden if value}


def all_properties(found: Settings) -> dict[str, str]:
    """Settings that are passed through to libraries under names of their own."""
    given = {name: value.get_secret_value() for name, value in found.kafka.properties.items()}
    return {**given, **found.lake.catalog}


def is_secret(name: str) -> bool:
    """True for names of properties whose values are never shown."""
    parts = name.lower().replace("-", ".").replace("_", ".").split(".")
    if {"password", "secret", "token", "credential", "passphrase", "pem"} & set(parts):
        return True
    return parts[-2:] == ["access", "key"] or "basic.auth" in ".".join(parts) or parts[-2:] == ["jaas", "config"]


def to_children(context: typer.Context) -> list[str]:
    """The flags again, for a child that must see the same settings from the same folder."""
    given = flags(context)
    arguments = []
    if given.home is not None:
        arguments += ["--home", str(given.home.absolute())]
    if given.contracts is not None:
        arguments += ["--contracts", str(given.contracts.absolute())]
    return arguments + ["-v"] * given.verbosity


def supervised() -> bool:
    """True in a child of `watling up`: its supervisor shows how it goes, its own console stays quiet."""
    return bool(os.environ.get("WATLING_SUPERVISED"))
