"""Receives nothing; gives every source (simulator, replay, polling) the one shape in which it hands records on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

WIRE = pa.schema(
    [
        pa.field("key", pa.binary()),  # device id: one device keeps its order
        pa.field("value", pa.binary()),  # one JSON object, UTF-8
        pa.field("due", pa.timestamp("us", tz="UTC")),  # when the device sends it; paces the replay
    ]
)
"""Columns of `WireBatch.records`."""


@dataclass(frozen=True, slots=True)
class WireBatch:
    """Records of one stream as they go on the wire.

    `stream` is a contract's name (`vehicle`, `gps`, …). `records` has the columns of `WIRE`; `due` rises within
    a batch, and from batch to batch of a source it rises across streams.
    """

    stream: str
    records: pa.Table


class Source(Protocol):
    """What the producer sends: batches in order of `due`. Iterating twice gives the same records twice."""

    def batches(self) -> Iterator[WireBatch]: ...
