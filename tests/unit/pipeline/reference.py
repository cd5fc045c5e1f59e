"""Receives one Kafka value; gives what must become of it, by slow and obvious Python, to compare the steps with."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from watling.contracts import Contract, Field, Wire

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?\Z"
)


@dataclass(frozen=True)
class Literal:
    """A number, true or false, as text."""

    text: str


class Bad(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason


def judge(value: bytes | None, contract: Contract, ingested: datetime) -> tuple[dict[str, Any] | None, str | None]:
    """(the typed columns, None) of a good record; (None, reason) of a bad one."""
    try:
        event = _parse(value, contract)
        texts = {f.name: _text_of(event, f) for f in contract.fields if f.wires}
        row = {f.name: _typed(f, *texts[f.name]) if f.wires else None for f in contract.fields}
        _check(row, contract, ingested)
    except Bad as bad:
        return None, bad.reason
    return row, None


def _parse(value: bytes | None, contract: Contract) -> dict[str, Any]:
    if value is None:
        raise Bad("tombstone")
    if value == b"":
        raise Bad("empty")
    if len(value) > contract.max_record_bytes:
        raise Bad("too_large")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise Bad("not_utf8") from None
    if not text.strip(" \t\r\n"):
        raise Bad("empty")
    try:
        event = json.loads(
            text, parse_int=_int, parse_float=_float, parse_constant=Literal, object_pairs_hook=_first_wins
        )
        json.dumps(_bare(event), ensure_ascii=False).encode()  # a lone surrogate is no character
    except (ValueError, UnicodeEncodeError):
        raise Bad("not_json") from None
    if not isinstance(event, dict):
        raise Bad("not_object")
    return event


def _int(text: str) -> Literal:
    return Literal("0" if text == "-0" else text)


def _float(text: str) -> Literal:
    return Literal(text if math.isinf(float(text)) else repr(float(text)))


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _bare(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_bare(v) for v in value]
    return value.text if isinstance(value, Literal) else value


def _scalar(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.text if isinstance(value, Literal) else value


def _text_of(event: dict[str, Any], field: Field) -> tuple[Any, Wire | None]:
    for wire in field.wires:
        value = event.get(wire.name)
        if wire.part and value is not None:
            value = _position(value)[wire.part]
        if value is not None:
            return _scalar(value), wire
    return None, None


def _position(value: Any) -> dict[str, Any]:
    value = _scalar(value)
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(
                value, parse_int=_int, parse_float=_float, parse_constant=Literal, object_pairs_hook=_first_wins
            )
        except ValueError:
            raise Bad("wrong_type") from None
    if isinstance(value, str):
        if value == "":
            return {"latitude": None, "longitude": None}
        inner = value[1:-1] if value[:1] + value[-1:] in ("()", "[]") and len(value) > 1 else value
        if (inner is value and value[:1] in "([") or (inner is value and value[-1:] in ")]"):
            raise Bad("wrong_type")
        value = [piece.strip(' \t\r\n"') for piece in inner.split(",")]
        value = [None if piece == "null" else piece for piece in value]
    if isinstance(value, dict):
        latitude = next((value[k] for k in ("latitude", "lat") if value.get(k) is not None), None)
        longitude = next((value[k] for k in ("longitude", "lon", "lng") if value.get(k) is not None), None)
        return {"latitude": latitude, "longitude": longitude}
    if len(value) != 2 or any(isinstance(v, str) and "," in v for v in value):
        raise Bad("wrong_type")
    latitude, longitude = (v.strip(' \t\r\n"') if isinstance(v, str) else v for v in value)
    return {"latitude": latitude, "longitude": longitude}


def _typed(field: Field, value: Any, wire: Wire | None) -> Any:
    if value is None:
        return None
    if field.type == "string":
        if isinstance(value, dict | list):
            raise Bad("wrong_type")
        return value
    if isinstance(value, dict | list):
        raise Bad("wrong_type")
    if value == "":
        return None
    if field.type == "boolean":
        if value.lower() not in ("true", "false", "1", "0", "1.0", "0.0"):
            raise Bad("wrong_type")
        return value.lower() in ("true", "1", "1.0")
    if field.type == "timestamp":
        return _time(value)
    if not NUMBER.match(value):
        raise Bad("wrong_type")
    if math.isinf(float(value)):
        raise Bad("out_of_range")
    assert wire is not None
    if field.type == "double":
        return float(value) * wire.scale + wire.offset if wire.scale != 1 or wire.offset else float(value)
    if Fraction(value).denominator != 1 and float(value) != math.floor(float(value)):
        raise Bad("wrong_type")
    limit = 2**31 if field.type == "int" else 2**63
    whole = int(Fraction(value))
    if not -limit <= whole < limit:
        raise Bad("out_of_range")
    return whole


def _time(text: str) -> datetime:
    match = TIME.match(text)
    if match is None:
        if not NUMBER.match(text):
            raise Bad("wrong_type")
        number = float(text)
        for parts in (1, 1_000, 1_000_000):
            if 946_684_800 * parts <= number < 10_000_000_000 * parts:
                return EPOCH + timedelta(microseconds=round(number * (1_000_000 // parts)))
        raise Bad("wrong_type")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=UTC)
        moment += timedelta(microseconds=int((fraction or "").ljust(6, "0")[:6]))
        if zone and zone != "Z":
            digits = zone[1:].replace(":", "").ljust(4, "0")
            if int(digits[:2]) > 23 or int(digits[2:]) > 59:
                raise ValueError(zone)
            offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
            moment += offset if zone[0] == "-" else -offset
    except (ValueError, OverflowError):
        raise Bad("wrong_type") from None
    return moment


def _check(row: dict[str, Any], contract: Contract, ingested: datetime) -> None:
    """The contract's columns in their order; the first fault counts."""
    for field in contract.fields:
        value = row[field.name]
        if field.required and (value is None or value == ""):
            raise Bad("missing")
        if value is None:
            continue
        if field.name == contract.time_column:
            first = datetime.fromisoformat(contract.event_time_min)
            if not first <= value <= ingested + timedelta(seconds=contract.event_time_ahead_s):
                raise Bad("out_of_range")
        elif field.type in ("int", "long", "double"):
            if (field.minimum is not None and value < field.minimum) or (
                field.maximum is not None and value > field.maximum
            ):
                raise Bad("out_of_range")
        elif field.type == "string":
            if field.allowed is not None and value not in field.allowed:
                raise Bad("not_allowed")
            if field.max_length is not None and not field.picture and len(value) > field.max_length:
                raise Bad("too_large")
    if {"latitude", "longitude"} <= row.keys() and (row["latitude"] is None) != (row["longitude"] is None):
        raise Bad("missing")
