"""Receives the command line's global options; gives every command its place. Rooms are imported inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from watling.cli import (
    audit,
    broker,
    config,
    contracts,
    doctor,
    lake,
    page,
    poll,
    quarantine,
    replay,
    run,
    simulate,
    sql,
    status,
    up,
)
from watling.cli.boundary import Commands
from watling.cli.examples import examples
from watling.cli.flags import Flags

CODES = """\b
Exit codes: 0 done, 1 the check found something, 2 wrong use, 3 not running or not reachable,
4 fenced by another writer, 130 interrupted."""
EXAMPLES = examples(
    ("watling up --simulate", "broker, pipeline, page and a simulated fleet, until Ctrl-C"),
    ("watling status", "how it goes"),
    ("watling audit", "whether anything was lost or doubled"),
    ('watling sql "select count(*) from vehicle"', "ask the lake"),
    ("watling --home /data/city status", "options for all commands stand before them"),
)

app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,  # plain help: quick, and the same in a pipe
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=f"{EXAMPLES}\n\n{CODES}",
)


def _version(wanted: bool) -> None:
    if wanted:
        import watling

        typer.echo(f"watling {watling.__version__}")
        raise typer.Exit()


@app.callback()
def root(
    context: typer.Context,
    home: Annotated[Path | None, typer.Option("--home", metavar="DIR", help="Where everything is kept. Default: WATLING_HOME, else .watling here.")] = None,
    contracts: Annotated[Path | None, typer.Option("--contracts", metavar="DIR", help="A folder of your own contracts. Default: ./contracts if it is there.")] = None,
    verbose: Annotated[int, typer.Option("-v", "--verbose", count=True, show_default=False, help="Tell more on stderr; twice for everything.")] = 0,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")] = False,  # noqa: ARG001 - its callback answers
) -> None:  # fmt: skip
    """Watling: a city's live data, from the device to the report, with proof that nothing was lost or doubled."""
    context.obj = Flags(home, contracts, verbose, context.invoked_subcommand or "watling")


for group in (
    up,
    run,
    simulate,
    replay,
    poll,
    status,
    audit,
    doctor,
    sql,
    quarantine,
    lake,
    broker,
    page,
    contracts,
    config,
):
    group.register(app)
