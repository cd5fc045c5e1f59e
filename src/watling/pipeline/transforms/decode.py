"""Receives Kafka records; gives rename the text of each wire field, and a reason where a value is no JSON object."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.contracts.model import Contract, Reason
from watling.pipeline.transforms.arrays import WIRE, end_bytes, flags, present, put, spans, whole, without
from watling.pipeline.transforms.faults import Faults
from watling.pipeline.transforms.json_reader import read_objects

OPEN, CLOSE = ord("{"), ord("}")
LEAF = 128  # rows in which bytes that are not UTF-8 are looked for one by one
BLANKS = " \t\r\n"
KINDS = {"[": "an array", '"': "a text", "t": "true", "f": "false", "n": "null", "N": "no number", "I": "no number"}


def step(table: pa.Table, contract: Contract) -> pa.Table:
    """RECORDS columns -> the same, `$wire.<name>` (string) for each wire name, and the fault columns.

    Reasons: tombstone, empty, too_large, not_utf8, not_json, not_object.
    """
    table = table.combine_chunks()
    values = whole(table["value"])
    faults = Faults(table)
    bad = np.zeros(len(values), dtype=bool)

    def judge(rows: np.ndarray, reason: Reason, message: str) -> None:
        if rows.any():
            faults.add(rows & ~bad, reason, None, message)
            bad[rows] = True

    _, start, end = spans(values)
    judge(~present(values), Reason.TOMBSTONE, "the record has a key and no value (a tombstone); events need a value")
    judge(end == start, Reason.EMPTY, "the record's value has no bytes; check what the device sends")
    limit = contract.max_record_bytes
    too_large = f"the value is larger than {limit} bytes, the most that the contract allows; send less in one record"
    judge(end - start > limit, Reason.TOO_LARGE, too_large)
    kept = without(values, bad) if bad.any() else values
    not_text = _not_utf8(kept)
    if len(not_text):
        rows = np.zeros(len(values), dtype=bool)
        rows[not_text] = True
        judge(rows, Reason.NOT_UTF8, "the value is not UTF-8 text; make the device encode its JSON as UTF-8")
        kept = without(kept, rows)
    texts = kept.cast(pa.large_string())

    first, last = end_bytes(texts)
    likely = (first == OPEN) & (last == CLOSE)
    unlikely = ~likely & ~bad
    objects = likely
    if unlikely.any():
        trimmed = pc.utf8_ltrim(texts.filter(pa.array(unlikely)), BLANKS)
        where = np.flatnonzero(unlikely)
        blank = np.zeros(len(values), dtype=bool)
        blank[where[flags(pc.equal(trimmed, ""))]] = True
        judge(blank, Reason.EMPTY, "the record's value is white space; check what the device sends")
        objects = likely.copy()
        objects[where[flags(pc.starts_with(trimmed, "{"))]] = True
    if bad.any():
        texts = without(texts, bad)
    wires, read = read_objects(texts, contract.wire_names, unlikely & ~bad)
    if unlikely.any() or read.null_count or not pc.all(read).as_py():
        ok = flags(read) & objects
        faulty = np.flatnonzero(~ok & ~bad)
        valid = flags(read)
        for row in faulty.tolist():
            reason, message = _judge_text(texts[row].as_py(), bool(valid[row]))
            faults.add(np.array([row]), reason, None, message)
    return faults.apply(put(table, {WIRE + name: column for name, column in wires.items()}))


def _not_utf8(values: pa.Array, first: int = 0) -> list[int]:
    """Numbers of the values that are not UTF-8, found by halving: k of them cost k·log n, not n."""
    try:
        values.cast(pa.large_string())
    except pa.ArrowInvalid:
        pass
    else:
        return []
    if len(values) <= LEAF:
        return [first + i for i, value in enumerate(values.to_pylist()) if value is not None and not _is_utf8(value)]
    half = len(values) // 2
    return _not_utf8(values.slice(0, half), first) + _not_utf8(values.slice(half), first + half)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _judge_text(text: str, valid: bool) -> tuple[Reason, str]:
    """Why a text is no JSON object, if the reader found it `valid` JSON or refused it. The text is not repeated."""
    bare = text.strip(BLANKS)
    if valid or bare == "null":
        kind = KINDS.get(bare[0], "a number")
        return Reason.NOT_OBJECT, f"the value is {kind}; an event is one JSON object, {{...}}"
    if text.startswith("\ufeff"):
        return Reason.NOT_JSON, "the value begins with a byte-order mark; send JSON without one"
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return Reason.NOT_JSON, f"the JSON ends at character {error.pos} and more follows; send one object a record"
        what = error.msg[:1].lower() + error.msg[1:].removesuffix(" at")
        return Reason.NOT_JSON, f"not JSON: {what} at character {error.pos + 1}; check how the device writes it"
    except (RecursionError, ValueError):  # ValueError: a number of thousands of digits
        return Reason.NOT_JSON, "not JSON, at a place too deep or long to name; check how the device writes it"
    return Reason.NOT_JSON, "the JSON holds half a character (a lone surrogate such as \\ud800); send whole characters"
