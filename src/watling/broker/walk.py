"""Receives pointers to librdkafka's messages; gives their columns as NumPy arrays, without one Python object a record.

Compiled by numba, outside Python's lock. C functions are called by address, given as arguments, so that the machine
code can be kept on disk. Offsets into a message are those of `librdkafka.Message`.
"""

# ruff: noqa: ARG001 - numba gives intrinsics the arguments of its own protocol
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

ERR, PARTITION, PAYLOAD, LENGTH, KEY, KEY_LENGTH, OFFSET = 0, 16, 24, 32, 40, 48, 56

EARLIEST_MS = -62_135_596_800_000  # year 1, what Arrow, Iceberg and Python can all hold
LATEST_MS = 253_402_300_799_999  # year 9999

# indexes into the array of C function addresses
TIMESTAMP, HEADERS, HEADER_GET, DESTROY = range(4)
ADDRESSES = (
    "rd_kafka_message_timestamp",
    "rd_kafka_message_headers",
    "rd_kafka_header_get_all",
    "rd_kafka_message_destroy",
)

_I8, _I32, _I64, _VOID = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.VoidType()


def _compiled(function: Callable[..., Any]) -> Any:
    """Compile at the first call; keep the code on disk where some folder lets us."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba finds no place to write: neither beside the source nor in the user's cache
        return njit(nogil=True)(function)


def _reader(width: ir.IntType, result: Any) -> Any:
    def load(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.load(builder.inttoptr(args[0], width.as_pointer()))

        return result(types.int64), codegen

    return intrinsic(load)


def _caller(result: Any, returns: Any, arity: int) -> Any:
    """An intrinsic that calls the C function at an address with `arity` addresses or sizes as arguments."""
    kind = ir.FunctionType(returns, [_I64] * arity)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        called = builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value() if returns is _VOID else called

    if arity == 1:

        def call(typingctx: Any, address: Any, a: Any) -> Any:
            return result(types.int64, types.int64), codegen

        return intrinsic(call)
    if arity == 2:

        def call2(typingctx: Any, address: Any, a: Any, b: Any) -> Any:
            return result(types.int64, types.int64, types.int64), codegen

        return intrinsic(call2)

    def call5(typingctx: Any, address: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
        return result(types.int64, types.int64, types.int64, types.int64, types.int64, types.int64), codegen

    return intrinsic(call5)


_i8 = _reader(_I8, types.int8)
_i32 = _reader(_I32, types.int32)
_i64 = _reader(_I64, types.int64)
_call_destroy = _caller(types.void, _VOID, 1)
_call_timestamp = _caller(types.int64, _I64, 2)
_call_headers = _caller(types.int32, _I32, 2)
_call_header_get = _caller(types.int32, _I32, 5)


def _memcpy(typingctx: Any, target: Any, source: Any, length: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, start = (builder.inttoptr(a, _I8.as_pointer()) for a in args[:2])
        copy: Any = cgutils.raw_memcpy
        copy(builder, to, start, args[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


_copy: Any = intrinsic(_memcpy)


@_compiled
def _text_length(address: int) -> int:
    length = 0
    while _i8(address + length) != 0:
        length += 1
    return length


@_compiled
def measure(
    messages: np.ndarray,
    begin: int,
    end: int,
    positions: np.ndarray,
    at_end: np.ndarray,
    max_records: int,
    max_bytes: int,
    taken_before: int,
    c: np.ndarray,
    rows: np.ndarray,
    gaps: np.ndarray,
    totals: np.ndarray,
) -> int:
    """How far to go from `messages[begin]`: up to an event, `max_records`, or a record beyond `max_bytes`.

    A first record (`taken_before` = 0) is taken whatever its size. `rows` gets the indexes of records to take;
    offsets below the partition's position were delivered before and are left out. `gaps` gets rows of (partition,
    from, to). `positions` and `at_end`, by partition, are moved on. `totals` gets: rows, gaps, value bytes, key bytes,
    headers, header name bytes, header value bytes. Returns the index after the last message looked at and settled.
    """
    scratch = np.zeros(4, np.int64)
    where = scratch.ctypes.data
    totals[:] = 0
    for i in range(begin, end):
        message = messages[i]
        if _i32(message + ERR) != 0:
            return i
        partition = _i32(message + PARTITION)
        offset = _i64(message + OFFSET)
        if partition < 0 or partition >= len(positions) or offset < positions[partition]:
            continue
        headers = 0
        names = 0
        values = 0
        if _call_headers(c[HEADERS], message, where) == 0:
            while _call_header_get(c[HEADER_GET], scratch[0], headers, where + 8, where + 16, where + 24) == 0:
                names += _text_length(scratch[1])
                if scratch[2] != 0:
                    values += scratch[3]
                headers += 1
        length = _i64(message + LENGTH)
        key_length = _i64(message + KEY_LENGTH)
        taken = totals[2] + totals[3] + totals[5] + totals[6]
        count = totals[0]
        if count >= max_records:
            return i
        if (count > 0 or taken_before > 0) and taken + length + key_length + names + values > max_bytes:
            return i
        if offset > positions[partition]:
            gap = totals[1]
            gaps[gap, 0] = partition
            gaps[gap, 1] = positions[partition]
            gaps[gap, 2] = offset
            totals[1] += 1
        positions[partition] = offset + 1
        at_end[partition] = False
        rows[count] = i
        totals[0] += 1
        totals[2] += length
        totals[3] += key_length
        totals[4] += headers
        totals[5] += names
        totals[6] += values
    return end


@_compiled
def take(
    messages: np.ndarray,
    rows: np.ndarray,
    c: np.ndarray,
    partitions: np.ndarray,
    offsets: np.ndarray,
    times: np.ndarray,
    value_ends: np.ndarray,
    value_there: np.ndarray,
    values: np.ndarray,
    key_ends: np.ndarray,
    key_there: np.ndarray,
    keys: np.ndarray,
    header_ends: np.ndarray,
    header_there: np.ndarray,
    name_ends: np.ndarray,
    names: np.ndarray,
    content_ends: np.ndarray,
    content_there: np.ndarray,
    contents: np.ndarray,
) -> None:
    """Copy the messages at `rows` into columns: `*_ends` are Arrow offsets (first one 0), `*_there` 1 where not null.

    `times` are microseconds since 1970; a record without a timestamp gets 0.
    """
    scratch = np.zeros(4, np.int64)
    where = scratch.ctypes.data
    value_at = 0
    key_at = 0
    header = 0
    name_at = 0
    content_at = 0
    for row in range(len(rows)):
        message = messages[rows[row]]
        partitions[row] = _i32(message + PARTITION)
        offsets[row] = _i64(message + OFFSET)
        stamp = _call_timestamp(c[TIMESTAMP], message, where)
        times[row] = 0 if stamp == -1 else min(max(stamp, EARLIEST_MS), LATEST_MS) * 1000
        payload = _i64(message + PAYLOAD)
        value_there[row] = payload != 0
        if payload != 0:
            length = _i64(message + LENGTH)
            _copy(values.ctypes.data + value_at, payload, length)
            value_at += length
        value_ends[row + 1] = value_at
        key = _i64(message + KEY)
        key_there[row] = key != 0
        if key != 0:
            length = _i64(message + KEY_LENGTH)
            _copy(keys.ctypes.data + key_at, key, length)
            key_at += length
        key_ends[row + 1] = key_at
        if _call_headers(c[HEADERS], message, where) == 0:
            header_there[row] = 1
            index = 0
            while _call_header_get(c[HEADER_GET], scratch[0], index, where + 8, where + 16, where + 24) == 0:
                length = _text_length(scratch[1])
                _copy(names.ctypes.data + name_at, scratch[1], length)
                name_at += length
                name_ends[header + 1] = name_at
                content_there[header] = scratch[2] != 0
                if scratch[2] != 0:
                    _copy(contents.ctypes.data + content_at, scratch[2], scratch[3])
                    content_at += scratch[3]
                content_ends[header + 1] = content_at
                header += 1
                index += 1
        header_ends[row + 1] = header


@_compiled
def destroy(messages: np.ndarray, begin: int, end: int, c: np.ndarray) -> None:
    """Give `messages[begin:end]` back to librdkafka."""
    for i in range(begin, end):
        _call_destroy(c[DESTROY], messages[i])
