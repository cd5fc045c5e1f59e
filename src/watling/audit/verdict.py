"""Receives an audit's report; keeps its verdict in the home, where the page and the next caller read the last one."""

from __future__ import annotations

from typing import Any

from watling.audit.report import AuditReport
from watling.config import Settings
from watling.ops import progress

NAME = "audit"


def keep_verdict(settings: Settings, report: AuditReport) -> dict[str, Any]:
    """Keep the report as the last verdict, if the home can be written; gives what was kept.

    `at` (ISO 8601, UTC), `clean`, `problems` (a sentence each), `lines` (as `watling audit` prints them) and, a stream,
    `consumed`, `landed`, `quarantined`, `duplicates`, `missing`, `doubled`, `lost_to_retention`, `lag` in records.
    """
    kept = ("consumed", "landed", "quarantined", "duplicates", "missing", "doubled", "lost_to_retention", "lag")
    lines = report.lines()
    verdict = {
        "at": report.checked_at,
        "clean": report.ok,
        "problems": lines[len(report.streams) :],
        "lines": lines,
        "streams": {name: {key: stream.json()[key] for key in kept} for name, stream in report.streams.items()},
    }
    progress.publish(settings, NAME, verdict)
    return verdict


def last_verdict(settings: Settings) -> dict[str, Any] | None:
    """The last verdict kept in this home, or None before the first audit."""
    told = progress.read(settings, NAME)
    return None if told is None else dict(told.body)
