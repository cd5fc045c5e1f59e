"""Receives `watling broker …`; starts, stops and shows the embedded Kafka of this home."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from watling.cli import output
from watling.cli.examples import examples
from watling.cli.flags import contracts, settings
from watling.errors import EXIT_UNREACHABLE

JSON = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name="broker", help="The embedded Kafka alone, in the background.")

    @group.command(
        epilog=examples(
            ("watling broker start", "the first time it downloads Kafka (42 MB)"),
            ("WATLING_BROKER__PORT=9192 watling broker start", "on another port"),
            ("watling broker start --coordination zookeeper", "Kafka 3.9 on ZooKeeper, for who still needs it"),
        )
    )
    def start(
        context: typer.Context,
        coordination: Annotated[str | None, typer.Option(help="kraft, or zookeeper: the last Kafka with it. Also WATLING_BROKER__COORDINATION.", metavar="KIND")] = None,
        json_: JSON = False,
    ) -> None:  # fmt: skip
        """Start Kafka in the background and wait until it answers. One that runs already is left as it is."""
        from watling.broker import admin, embedded

        found = settings(context, **({"broker": {"coordination": coordination}} if coordination else {}))
        was = embedded.status(found).running
        done = embedded.start(found, download_progress())
        admin.ensure_topics(found, contracts(found))  # so that a producer may write before the first run
        if json_:
            output.as_json(asdict(done))
            return
        output.say(f"Kafka {done.version} {'runs already' if was else 'runs'} at {done.address} (pid {done.pid}).")
        if done.zookeeper is not None:
            output.say(zookeeper_line(asdict(done.zookeeper)))

    @group.command(epilog=examples(("watling broker stop", "its data stays")))
    def stop(context: typer.Context) -> None:
        """Stop the Kafka of this home; what it holds is kept."""
        from watling.broker import embedded

        stopped = embedded.stop(settings(context))
        output.say("Kafka is stopped." if stopped else "Kafka did not run.")

    @group.command(epilog=examples(("watling broker status --json", "for a script; ends with 3 when it does not run")))
    def status(context: typer.Context, json_: JSON = False) -> None:
        """Whether Kafka runs, where, and how large it is. Ends with 3 when it does not."""
        from watling.app import broker_status

        found = broker_status(settings(context))
        if json_:
            output.as_json(found)
        else:
            show(found)
        if not found["running"]:
            raise typer.Exit(EXIT_UNREACHABLE)


def show(found: dict[str, Any]) -> None:
    """The broker's part of a status for people."""
    output.say(one_line(found))
    if found.get("zookeeper") is not None:
        output.say(zookeeper_line(found["zookeeper"]))


def zookeeper_line(found: dict[str, Any]) -> str:
    """ZooKeeper's part of a status as a line."""
    if found["running"]:
        state = "is well" if found["healthy"] else "does not say that it is well"
        return (
            f"ZooKeeper {found['version'] or ''} at {found['address']} (pid {found['pid']}) {state}, "
            f"{output.size(found['rss_bytes'])} of memory, {output.size(found['data_bytes'])} on disk."
        )
    if found["crashed"]:
        return (
            "ZooKeeper died. Kafka goes on with the topics that it has; `watling broker start` starts ZooKeeper again. "
            "Its log: logs/zookeeper.log."
        )
    return "ZooKeeper does not run. It starts and stops with Kafka."


def one_line(found: dict[str, object]) -> str:
    """The broker's part of a status as a line."""
    address = found["address"]
    if not found["embedded"]:
        state = "answers" if found["running"] else "does not answer"
        return f"Kafka (external) at {address} {state}" + ("." if found["running"] else f": {found.get('error')}")
    if found["running"]:
        rss, data = (found[k] if isinstance(found[k], int | float) else None for k in ("rss_bytes", "data_bytes"))
        up = found["uptime_s"] if isinstance(found["uptime_s"], int | float) else None
        return (
            f"Kafka {found['version']} runs at {address} (pid {found['pid']}) for {output.seconds(up)}, "
            f"{output.size(rss)} of memory, {output.size(data)} on disk."  # type: ignore[arg-type]
        )
    if found["crashed"]:
        return f"Kafka at {address} died. Look at logs/broker.log in the home, then `watling broker start`."
    return f"Kafka at {address} does not run. Start it with `watling broker start`, or all with `watling up`."


class download_progress:
    """Shows the download of Kafka's jars on stderr: one line renewed on a terminal, else a line for every tenth jar."""

    def __call__(self, done: int, total: int, name: str) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            sys.stderr.write(f"\r\x1b[2Kdownloading Kafka: {done} of {total} jars ({name}){end}")
            sys.stderr.flush()
        elif done % 10 == 0 or done == total:
            output.note(f"downloading Kafka: {done} of {total} jars")
