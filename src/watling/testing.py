"""Receives a contract; gives tests, ours and users', records as they should not be, each with what must become of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from watling.contracts.model import Contract, Field, Reason

Value = bytes | None
Hostile = tuple[Value, str | None]
"""(the record's value, None for a tombstone; the reason that it must be quarantined with, None when it must land)."""

DEEP = 100_000
RARE = 0.005  # share of the cases that are large
FORMS = (
    "2024-05-01T10:15:30Z",
    "2024-05-01T10:15:30.5Z",
    "2024-05-01 10:15:30.123456",
    "2024-05-01T10:15:30.123456789+01:00",
    "2024-05-01T10:15:30-0330",
    "2024-05-01T10:15",
    1714558530,
    1714558530123,
    "1714558530.25",
)
NO_TIMES = (
    "2024-05-01",
    "2024-02-30T10:00:00Z",
    "2024-05-01T25:00:00Z",
    "yesterday",
    20240501,
    True,
    "2024-05-01T10:15:30+01:0x",
    "infinity",
    "epoch",
)
NO_NUMBERS: tuple[Any, ...] = ("fast", "1,5", "0x10", "1_000", " 7 ", "+-1", True, {"value": 1}, [1], "--1", "1e", "٣", float("nan"), float("inf"))  # fmt: skip
NO_BOOLEANS: tuple[Any, ...] = ("yes", 2, {}, [True])
NO_POSITIONS: tuple[Any, ...] = ([51.5], [51.5, -0.12, 30], "51.5", "(51.5, -0.12", "[51.5, -0.12)", True, 51.5, "x" * 5000, [[51.5, -0.12]], [])  # fmt: skip

BLANK = (b"", b" ", b"\n", b"\r\n\t  ")
NO_OBJECTS = (b"[]", b"[1, 2]", b"5", b"-1e5", b'"text"', b"true", b"null", b" null ", b'[{"id": "a"}]', b'"{}"')
NO_JSON = (b"{", b"}", b"{]", b"\x00", b"{}{}", b"{} 5", b'{"a" 1}', b"{'a': 1}", b'{"a": 01}', b'{"a": +1}', b"nul", b'{"a": "\\x"}', b'{"a": /* */ 1}', b"id=1", b"<xml/>", b'{"a": undefined}')  # fmt: skip
NO_TEXT = (b"\xff", b'{"a": "\xc3"}', b'{"a": "\xed\xa0\x80"}', b'{"\xc0\xaf": 1}', b"\xfe\xff\x00{\x00}", b'{"a": "\xe6\x9d')  # fmt: skip


def good_event(contract: Contract, rng: random.Random, number: int) -> dict[str, Any]:
    """The wire object of an event that fits the contract, in one of the forms that devices use. Ids differ by `number`."""
    event: dict[str, Any] = {}
    for field in contract.fields:
        if not field.wires or not (field.required or rng.random() < 0.6):
            continue
        wire = rng.choice(field.wires) if field.name != contract.id_column else field.wires[0]
        if wire.part:
            event[wire.name] = _position(rng)
        elif field.name in ("latitude", "longitude"):
            pass  # half a position is none: it comes from `location`, or by the line below
        elif all(w.name not in event for w in field.wires):
            event[wire.name] = _value(contract, field, rng, number)
    names = {f.name: f for f in contract.fields if f.name in ("latitude", "longitude")}
    if len(names) == 2 and (rng.random() < 0.2 or any(f.required for f in names.values())):
        for name, wires in (("latitude", ("latitude", "lat")), ("longitude", ("longitude", "lon"))):
            known = [w.name for w in names[name].wires if w.name in wires]
            if not any(w.part and w.name in event for w in names[name].wires) and known:
                event[known[0]] = _number(rng, 50.0, 53.0)
    return event


def _value(contract: Contract, field: Field, rng: random.Random, number: int) -> Any:
    if field.name == contract.id_column:
        return f"event-{number}"
    if field.name == contract.time_column:
        return rng.choice(FORMS)
    if field.type == "string":
        if field.allowed:
            return rng.choice(field.allowed)
        return rng.choice(["North", "Straße 5", "東京", "", "😀", 'a "b" \\ c', "null", "{curly}", "[x", 12, -3.5, "a\u0000b", "\u2028"]) if not field.required else f"{field.name}-{rng.randrange(50)}"  # fmt: skip
    if field.type == "boolean":
        return rng.choice([True, False, "true", "FALSE", 1, 0])
    if field.type == "timestamp":
        return rng.choice(FORMS)
    low = field.minimum if field.minimum is not None else -1000.0
    high = field.maximum if field.maximum is not None else low + 2000.0
    if field.type in ("int", "long"):
        whole = rng.randint(int(low), int(min(high, 2.0**31 - 1)))
        return rng.choice([whole, str(whole), float(whole)])
    return _number(rng, low, high)


def _number(rng: random.Random, low: float, high: float) -> Any:
    value = min(max(round(low + rng.random() * (high - low), rng.randrange(7)), low), high)
    return rng.choice([value, value, str(value), f"{value:.6e}" if low <= float(f"{value:.6e}") <= high else value])


def _position(rng: random.Random) -> Any:
    latitude, longitude = round(50 + rng.random() * 4, 6), round(-3 + rng.random() * 3, 6)
    return rng.choice(
        [
            [latitude, longitude],
            [str(latitude), str(longitude)],
            f"({latitude}, {longitude})",
            f"{latitude},{longitude}",
            f"[{latitude}, {longitude}]",
            {"latitude": latitude, "longitude": longitude},
            {"lng": longitude, "lat": latitude},
            {"lat": latitude, "lon": str(longitude), "accuracy": 5},
        ]
    )


def hostile_records(contract: Contract, n: int, seed: int) -> list[Hostile]:
    """`n` records, about half of them bad, the same for the same seed. Ids are never repeated.

    Event times lie in May 2024 unless they are the fault: the record's own time must be later.
    """
    rng = random.Random(seed)  # noqa: S311  tests must repeat
    kinds = [*_bytes_at_fault(contract), *_fields_at_fault(contract)]
    large = _large()
    out: list[Hostile] = []
    for number in range(n):
        event = good_event(contract, rng, number)
        chance = rng.random()
        if chance < RARE:
            out.append(rng.choice(large)(event, rng))
        elif chance < 0.5:
            out.append(rng.choice(kinds)(event, rng))
        else:
            out.append((_dressed(event, rng), None))
    return out


Kind = Callable[[dict[str, Any], random.Random], Hostile]


def _text(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode()


def _dressed(event: dict[str, Any], rng: random.Random) -> bytes:
    """Good, whatever it looks like."""
    first = next(iter(event))
    return rng.choice(
        [
            _text(event),
            json.dumps(event).encode(),
            b" \r\n\t" + _text(event) + b"\n",
            json.dumps(event, indent=2).replace("\n", "\r\n").encode(),
            _text(event)[:-1] + b', "other": {"a": [1, {"b": null}]}}',
            _text(event)[:-1] + f', {json.dumps(first)}: "a second one does not count"}}'.encode(),
            _text(event)[:-1] + b', "other": NaN}',
            _text(event)[:-1] + b",}",
            _text({**event, "unknown": "x" * rng.randrange(3000)}),
            _text({"ID": "upper case is another key", "Timestamp": 1, **event}),
            _text(event).replace(b'"timestamp"', b'"\\u0074imestamp"'),
        ]
    )


def _bytes_at_fault(contract: Contract) -> Iterator[Kind]:
    def always(value: Value, reason: Reason) -> Kind:
        return lambda _event, _rng: (value, reason.value)

    yield always(None, Reason.TOMBSTONE)
    yield from (always(value, Reason.EMPTY) for value in BLANK)
    yield from (always(value, Reason.NOT_OBJECT) for value in NO_OBJECTS)
    yield from (always(value, Reason.NOT_JSON) for value in NO_JSON)
    yield from (always(value, Reason.NOT_UTF8) for value in NO_TEXT)

    def spoiled(change: Callable[[bytes], bytes], reason: Reason) -> Kind:
        return lambda event, _rng: (change(_text(event)), reason.value)

    yield spoiled(lambda v: b"\xef\xbb\xbf" + v, Reason.NOT_JSON)
    yield spoiled(lambda v: v + b"\x00", Reason.NOT_JSON)
    yield spoiled(lambda v: v + b"\n" + v, Reason.NOT_JSON)
    yield spoiled(lambda v: v + v, Reason.NOT_JSON)
    yield spoiled(lambda v: v[:-1], Reason.NOT_JSON)
    yield spoiled(lambda v: v[:-1] + b', "other": "line\nbreak"}', Reason.NOT_JSON)
    yield spoiled(lambda v: v[:-1] + b', "other": "half \\ud800 of it"}', Reason.NOT_JSON)
    yield spoiled(lambda v: v[:-1] + b', "other": "\xf0\x9f\x98"}', Reason.NOT_UTF8)
    yield spoiled(lambda v: b"[" + v + b"]", Reason.NOT_OBJECT)
    if contract.max_record_bytes <= 1024 * 1024:
        yield always(b'{"a": "' + b"x" * contract.max_record_bytes + b'"}', Reason.TOO_LARGE)


def _large() -> list[Kind]:
    def unread(more: bytes) -> Kind:
        return lambda event, _rng: (_text(event)[:-1] + b', "other": ' + more + b"}", None)

    return [
        lambda _event, _rng: (b"[" * DEEP, Reason.NOT_JSON.value),
        lambda _event, _rng: (b'{"id":' * DEEP, Reason.NOT_JSON.value),
        lambda _event, _rng: (b"[" * DEEP + b"]" * DEEP, Reason.NOT_OBJECT.value),
        unread(b"[" * DEEP + b"]" * DEEP),
        unread(b'{"a":' * DEEP + b"1" + b"}" * DEEP),
        unread(b'"' + b"x" * 1_000_000 + b'"'),
        unread(b"9" * 5_000),
    ]


def _fields_at_fault(contract: Contract) -> Iterator[Kind]:
    for field in contract.fields:
        if not field.wires:
            continue
        names = {w.name for w in field.wires}
        shared = {w.name for f in contract.fields if f is not field for w in f.wires} & names
        parts = [w for w in field.wires if w.part]
        if field.required and not parts:
            yield _replaced(field, names - shared, shared, None, Reason.MISSING)
        for bad in NO_POSITIONS if parts else ():
            yield _replaced(field, {parts[0].name}, set(), bad, Reason.WRONG_TYPE)
        if parts or shared - {field.wires[0].name} == names:
            continue
        for value, reason in _bad_values(contract, field):
            yield _replaced(field, names - shared, shared, value, reason)


def _replaced(field: Field, own: set[str], shared: set[str], value: Any, reason: Reason) -> Kind:
    """The event with one field at fault; its other names are taken out, so that none of them helps it out."""

    def kind(event: dict[str, Any], _rng: random.Random) -> Hostile:
        kept = {k: v for k, v in event.items() if k not in own | shared}
        first = next((w.name for w in field.wires if w.name in own), field.wires[0].name)
        for name in shared & event.keys():
            if reason is not Reason.MISSING:
                kept[name] = event[name]
        return json.dumps({first: value, **kept} if value is not None else kept).encode(), reason.value

    return kind


def _bad_values(contract: Contract, field: Field) -> Iterator[tuple[Any, Reason]]:
    if field.name == contract.time_column:
        yield from ((value, Reason.WRONG_TYPE) for value in NO_TIMES)
        yield from ((value, Reason.OUT_OF_RANGE) for value in ("1969-12-31T23:59:59Z", "9999-12-31T00:00:00Z"))
    elif field.type == "string":
        yield from ((value, Reason.WRONG_TYPE) for value in ({"a": 1}, [1], [], {}))
        if field.allowed:
            yield "Something else entirely", Reason.NOT_ALLOWED
        if field.max_length is not None and not field.picture:
            yield "x" * (field.max_length + 1), Reason.TOO_LARGE
    elif field.type in ("double", "int", "long"):
        yield from ((value, Reason.WRONG_TYPE) for value in NO_NUMBERS)
        yield "1e400", Reason.OUT_OF_RANGE
        if field.type in ("int", "long"):
            yield from ((value, Reason.WRONG_TYPE) for value in (1.5, "2024.25"))
            yield from ((value, Reason.OUT_OF_RANGE) for value in (2**63, -(2**63) - 1, 10**30))
        if field.minimum is not None:
            yield field.minimum - 1, Reason.OUT_OF_RANGE
        if field.maximum is not None:
            yield field.maximum + 1, Reason.OUT_OF_RANGE
    elif field.type == "boolean":
        yield from ((value, Reason.WRONG_TYPE) for value in NO_BOOLEANS)
