"""Receives texts from the command line; gives durations and moments, or says how they are written."""

from __future__ import annotations

from datetime import UTC, datetime

from watling.errors import UsageError

UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str, option: str) -> float:
    """`90s`, `10m`, `1h30m`, `2d` or a number of seconds, in seconds. Raises UsageError."""
    rest, total, seen = text.strip().lower(), 0.0, False
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        unit = next((u for u in UNITS if rest[len(number) :].startswith(u)), "")
        try:
            total += float(number) * (UNITS[unit] if unit else 1.0)
        except ValueError:
            total = 0.0
            break
        if not unit and (seen or rest != number):
            total = 0.0
            break
        rest, seen = rest[len(number) + len(unit) :], True
    if total <= 0:
        raise UsageError(f"{option} {text!r} is no duration: write 90s, 10m, 1h30m or a number of seconds")
    return total


def moment(text: str, option: str) -> datetime:
    """An ISO 8601 time; without an offset it is UTC. Raises UsageError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is no time: write 2026-05-04T07:30:00 or with an offset, +01:00") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    """`name=value` texts as a dict. Raises UsageError."""
    found = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError(f"{option} {text!r}: write NAME=VALUE")
        found[name.strip()] = value.strip()
    return found
