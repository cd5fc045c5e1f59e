"""Receives a source of records from a command; sends it to Kafka with a line of how it goes, and says how it ended."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from watling.cli import output
from watling.cli.flags import supervised
from watling.errors import EXIT_DONE, EXIT_FOUND, EXIT_INTERRUPTED

if TYPE_CHECKING:
    import signal
    import threading

    from watling.config import Settings
    from watling.devices.port import Source
    from watling.devices.producer import Progress, SendReport
    from watling.devices.sources import Faults

PLAIN_EVERY_S = 30.0
FAULTS_SHOWN = 20


def send_and_report(
    found: Settings,
    source: Source,
    process: str,
    *,
    speed: float,
    json: bool,
    stop: threading.Event,
    faults: Faults | None = None,
    more: dict[str, Any] | None = None,
) -> SendReport:
    """Send all of it, or until `stop`. `process` names it in the home; `more` goes into the JSON at the end."""
    from watling.devices.producer import send
    from watling.ops import progress

    teller = _Teller(found, process)
    try:
        report = send(source, found, speed=speed, progress=teller, stop=stop)
    finally:
        teller.line.end()
        progress.withdraw(found, process)
    if json:
        body = {**asdict(report), **(more or {}), **(_faults_body(faults) if faults is not None else {})}
        output.as_json(body)
    elif not supervised() or not report.interrupted:
        _show(report)
    if faults is not None and not json:
        _show_faults(faults)
    return report


def end(report: SendReport, by: signal.Signals | None) -> None:
    """Leave with the code that fits: 1 when Kafka refused records, 130 after Ctrl-C, else 0."""
    import signal as signals

    if report.failed:
        raise typer.Exit(EXIT_FOUND)
    raise typer.Exit(EXIT_INTERRUPTED if by is signals.SIGINT else EXIT_DONE)


class _Teller:
    """What the producer calls once a second."""

    def __init__(self, found: Settings, process: str) -> None:
        self._found = found
        self._process = process
        self._shown = time.monotonic()
        self.line = output.Line(quiet=supervised())

    def __call__(self, now: Progress) -> None:
        from watling.ops import progress

        progress.publish(self._found, self._process, asdict(now))
        if self.line.renewed:
            self.line.show(now.line())
        elif not supervised() and time.monotonic() - self._shown >= PLAIN_EVERY_S:
            output.note(now.line())
            self._shown = time.monotonic()


def _show(report: SendReport) -> None:
    each = " · ".join(f"{name} {count:,}" for name, count in sorted(report.streams.items()))
    rate = report.sent / max(report.seconds, 0.001)
    output.say(
        f"{report.sent:,} records sent in {report.seconds:.1f} s ({rate:,.0f}/s)" + (f": {each}" if each else "")
    )
    if report.failed:
        why = "; ".join(f"{count:,}× {text}" for text, count in sorted(report.reasons.items()))
        output.say(f"{report.failed:,} were refused by Kafka: {why}")
    if report.unsent:
        output.say(f"{report.unsent:,} still waited for the broker when this was stopped, and were not sent")
    if report.max_lag_s >= 1.0:
        output.say(f"at worst {report.max_lag_s:.1f} s behind the schedule")


def _show_faults(faults: Faults) -> None:
    for fault in faults.sample[:FAULTS_SHOWN]:
        output.note(str(fault))
    if faults.count > FAULTS_SHOWN:
        output.note(f"… {faults.count - min(FAULTS_SHOWN, len(faults.sample)):,} more broken records")
    elif faults.count:
        output.note(f"{faults.count:,} broken records left out")
    for reason, count in faults.skipped.most_common():
        output.note(f"{count:,} left out on purpose: {reason}")
    for reason, count in faults.notes.most_common():
        output.note(f"{count:,} with a remark: {reason}")


def _faults_body(faults: Faults) -> dict[str, Any]:
    return {
        "broken": faults.count,
        "broken_sample": [str(f) for f in faults.sample],
        "skipped": dict(faults.skipped),
        "notes": dict(faults.notes),
    }
