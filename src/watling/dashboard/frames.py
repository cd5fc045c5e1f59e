"""Receives positions from `hot`; gives the hub one encoded binary frame for all viewers.

A frame, little-endian: 4 bytes `WTL1`; uint32 length of the header; the header (UTF-8 JSON, padded with spaces so
that the columns begin at a multiple of 8); then the columns, each padded with zeros to a multiple of 8.

The header: `seq` (grows by one a frame), `at` (server time, ms since 1970), `whole` (true: forget every vehicle not in
this frame), `names` ([slot, id, type] of vehicles new since the frame before), `gone` (slots no
longer used, to be freed before `names` are taken), `count`, and `columns`: name, type and byte offset from the frame's start.

| column | type | meaning |
|---|---|---|
| slot | u32 | the vehicle, as named in `names` |
| latitude, longitude | i32 | degrees × 1,000,000 |
| speed | u16 | km/h × 10; 65535 unknown |
| heading | u16 | degrees clockwise from north × 10; 65535 unknown |
| silent | u32 | ms from the vehicle's last arrival at Kafka to `at` |
| event | u32 | the device's own time, seconds since 1970 |
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from watling.dashboard.fleet import Floats, Positions

MAGIC = b"WTL1"
UNKNOWN = 65535
TYPES = {"u32": "<u4", "i32": "<i4", "u16": "<u2"}


def encode(
    positions: Positions,
    names: Sequence[tuple[int, str, str]],
    gone: Sequence[int],
    *,
    seq: int,
    at: int,
    whole: bool,
) -> bytes:
    """The frame as bytes. `at` is the server's time in ms since 1970."""
    columns: list[tuple[str, str, npt.NDArray[np.generic]]] = [
        ("slot", "u32", positions.slot),
        ("latitude", "i32", np.rint(positions.latitude * 1e6)),
        ("longitude", "i32", np.rint(positions.longitude * 1e6)),
        ("speed", "u16", _tenths(positions.speed)),
        ("heading", "u16", _tenths(positions.heading)),
        ("silent", "u32", np.clip(at - positions.seen, 0, 2**32 - 1)),
        ("event", "u32", np.clip(positions.event // 1000, 0, 2**32 - 1)),
    ]
    bodies = [_padded(values.astype(TYPES[kind]).tobytes()) for _, kind, values in columns]
    header: dict[str, object] = {
        "seq": seq,
        "at": at,
        "whole": whole,
        "count": len(positions.slot),
        "names": names,
        "gone": gone,
        "columns": [],
    }
    # the offsets stand in the header, whose length they change: give them room for the largest
    room = 8 + len(_json(header)) + sum(len(f'["{n}","{k}",{2**32}],') for n, k, _ in columns)
    start = -(-room // 8) * 8
    offsets = np.cumsum([start, *(len(b) for b in bodies)])
    header["columns"] = [[n, k, int(o)] for (n, k, _), o in zip(columns, offsets, strict=False)]
    text = _json(header).ljust(start - 8)
    return b"".join([MAGIC, struct.pack("<I", len(text)), text, *bodies])


def _tenths(values: Floats) -> Floats:
    return np.where(np.isfinite(values), np.clip(np.rint(values * 10), 0, UNKNOWN - 1), UNKNOWN)


def _padded(body: bytes) -> bytes:
    return body.ljust(-(-len(body) // 8) * 8, b"\0")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
