"""Receives the options of `watling run`; runs the pipeline in this process and tells how it goes."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watling.cli import output
from watling.cli.examples import examples
from watling.cli.flags import contracts, settings, supervised
from watling.errors import EXIT_DONE, EXIT_FOUND, EXIT_INTERRUPTED, UnreachableError, UsageError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from watling.config import Settings
    from watling.contracts.model import Contract
    from watling.pipeline.engines.lifecycle import RunReport

PLAIN_EVERY_S = 30.0
PING_S = 2.0


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            ("watling run", "until Ctrl-C"),
            ("watling run --once", "drain what is there now, then end"),
            ("watling run --stream vehicle --stream gps", "only these"),
            ("watling run --once --json", "the counts for a script"),
            ("watling run --engine spark --master spark://host:7077", "the same on a cluster of Spark"),
            ("watling run --engine spark --sink parquet --to out/", "plain Parquet folders in place of tables"),
        )
    )
    def run(
        context: typer.Context,
        once: Annotated[bool, typer.Option("--once", help="Drain to the end offsets seen at the start, then end.")] = False,
        engine: Annotated[str, typer.Option(help="What runs the steps: embedded (this process), or spark.", metavar="ENGINE")] = "embedded",
        master: Annotated[str | None, typer.Option(help="Spark's master: local[*], spark://host:port, yarn, k8s://…", metavar="URL")] = None,
        stream: Annotated[list[str] | None, typer.Option("--stream", help="Only this stream; may be repeated.", metavar="NAME")] = None,
        take_over: Annotated[bool, typer.Option("--take-over", help="Fence another writer of these streams and go on in its place.")] = False,
        accept_new_topic: Annotated[bool, typer.Option("--accept-new-topic", help="The topic was deleted and made again: begin a new generation. What the old one still owed counts as lost.")] = False,
        sink: Annotated[str, typer.Option(help="Where rows go: lake, or with Spark parquet: plain folders, without what only tables promise.", metavar="SINK")] = "lake",
        to: Annotated[str | None, typer.Option(help="Folder or URI of `--sink parquet`.", metavar="DIR")] = None,
        json_: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
    ) -> None:  # fmt: skip
        """Run the pipeline: from Kafka, checked against the contracts, into the lake and quarantine, exactly once.

        Ends with 3 when no Kafka answers, 4 when another writer fenced it, 1 when a stream had to stop.
        """
        found = settings(context)
        options = _engine_options(engine, master)
        folder = _plain_folder(sink, to, engine, tables_only=take_over or accept_new_topic)
        known = contracts(found)
        from watling.broker import admin
        from watling.cli.signals import stop_on_signals

        if not supervised():
            admin.ping(found)  # before anything that takes long
        from watling.ops import progress

        stop = stop_on_signals()
        if supervised():
            _wait_for_kafka(found, stop.event)
            if stop.event.is_set():
                raise typer.Exit(stop.exit_code())
        if folder is not None:
            failed = _run_plain(found, known, folder, once, stream, stop.event, json_, options)
            raise typer.Exit(EXIT_FOUND if failed else stop.exit_code() or EXIT_DONE)
        renewed = output.Line(quiet=supervised())
        name = "pipeline" if not stream else "pipeline-" + "-".join(sorted(set(stream)))
        try:
            report = _engine(engine)(
                found,
                known,
                once=once,
                take_over=take_over,
                accept_new_topic=accept_new_topic,
                streams=stream or None,
                stop=stop.event,
                on_progress=_teller(found, name, engine, once, renewed),
                **options,
            )
        finally:
            renewed.end()
            progress.withdraw(found, name)
        _show(report, as_json=json_, quiet=not once and supervised())
        if report.failed:
            raise typer.Exit(EXIT_FOUND)
        cut_short = once and stop.by is not None
        raise typer.Exit(EXIT_INTERRUPTED if cut_short else stop.exit_code() or EXIT_DONE)


def _plain_folder(sink: str, to: str | None, engine: str, *, tables_only: bool) -> str | None:
    """Where plain files go; None for the lake."""
    if sink == "lake":
        if to is not None:
            raise UsageError("`--to` is the folder of `--sink parquet`: say that too, or leave it away")
        return None
    if sink != "parquet":
        raise UsageError(f"there is no sink {sink!r}: leave `--sink` away, or say `--sink parquet`")
    if engine != "spark" or to is None:
        raise UsageError("plain Parquet folders are written by Spark: `--engine spark --sink parquet --to DIR`")
    if tables_only:
        raise UsageError("`--take-over` and `--accept-new-topic` are about tables: plain folders have neither")
    return to


def _run_plain(
    found: Settings,
    known: dict[str, Contract],
    folder: str,
    once: bool,
    streams: list[str] | None,
    stop: threading.Event,
    as_json: bool,
    options: dict[str, Any],
) -> bool:
    """Write plain folders, and tell; True when a stream had to stop."""
    from watling.pipeline.engines.spark import plain

    renewed = output.Line(quiet=supervised())

    def tell(streams: Mapping[str, Mapping[str, int]]) -> None:
        if renewed.renewed:
            rows, bad = (sum(s[k] for s in streams.values()) for k in ("rows", "quarantined"))
            renewed.show(f"{rows:,} rows written · {bad:,} in quarantine")

    try:
        report = plain.run(
            found, known, folder, once=once, streams=streams or None, stop=stop, on_progress=tell, **options
        )
    finally:
        renewed.end()
    if as_json:
        output.as_json({"seconds": round(report.seconds, 3), "streams": report.streams, "errors": report.errors})
    else:
        rows = [[n, s["rows"], s["quarantined"], report.errors.get(n, "")] for n, s in sorted(report.streams.items())]
        output.table(["stream", "rows", "quarantined", "stopped by"], rows)
        output.note(f"in {report.seconds:.1f} s")
    return report.failed


def _wait_for_kafka(found: Settings, stop: threading.Event) -> None:
    """Under a supervisor Kafka may be starting: give it its time. Raises BrokerUnreachable when that is over."""
    from watling.broker import admin

    deadline = time.monotonic() + found.broker.start_timeout_s
    while not stop.is_set():
        try:
            admin.ping(found, PING_S)
            return
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
            stop.wait(0.2 * random.uniform(0.5, 1.5))  # noqa: S311 - jitter


def _engine_options(engine: str, master: str | None) -> dict[str, Any]:
    """What only this engine is told. What it cannot run without is looked for before anything else."""
    if engine == "spark":
        from watling.pipeline.engines.spark.session import check

        check()
        return {"master": master}
    if engine != "embedded":
        raise UsageError(f"there is no engine {engine!r}: leave `--engine` away, or say `--engine spark`")
    if master is not None:
        raise UsageError("`--master` is Spark's: say `--engine spark` too")
    return {}


def _engine(name: str) -> Callable[..., RunReport]:
    """The engine's `run`; the heavy import is here."""
    if name == "spark":
        from watling.pipeline.engines.spark.engine import run as run_spark

        return run_spark
    from watling.pipeline.engines.embedded import run as run_embedded

    return run_embedded


def _teller(
    found: Settings, name: str, engine: str, once: bool, renewed: output.Line
) -> Callable[[dict[str, Any]], None]:
    """What the engine calls once a second: publishes, and shows a line (renewed on a terminal, else twice a minute)."""
    from watling.ops import progress

    shown = 0.0

    def tell(streams: dict[str, Any]) -> None:
        nonlocal shown
        progress.publish(found, name, {"engine": engine, "once": once, "streams": streams})
        now = time.monotonic()
        if renewed.renewed:
            renewed.show(line(streams))
        elif not supervised() and now - shown >= PLAIN_EVERY_S:
            output.note(line(streams))
            shown = now

    return tell


def line(streams: dict[str, Any]) -> str:
    """All streams in one line."""
    rate, landed, bad = (sum(s[k] for s in streams.values()) for k in ("rate", "landed", "quarantined"))
    lags = [s["lag_records"] for s in streams.values()]
    lag = "broker away" if None in lags else f"{sum(lags):,} waiting"
    ended = sorted(name for name, s in streams.items() if s["error"])
    text = f"{rate:,.0f} records/s · {lag} · {landed:,} landed · {bad:,} in quarantine"
    return text + (f" · stopped: {', '.join(ended)}" if ended else "")


def _show(report: RunReport, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        output.as_json({"seconds": round(report.seconds, 3), "streams": dict(report.streams)})
    elif not quiet:
        rows = [
            [n, s.landed, s.quarantined, s.duplicates, s.lost, s.error or ""] for n, s in sorted(report.streams.items())
        ]
        output.table(["stream", "landed", "quarantined", "of them duplicates", "lost", "stopped by"], rows)
        output.note(f"in {report.seconds:.1f} s")
