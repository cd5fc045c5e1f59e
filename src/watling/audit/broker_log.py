"""Receives ranges that the pipeline took for gaps; gives those in which the broker does have records."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import numpy as np

from watling.audit.report import Range
from watling.broker.fetch import Fetcher, OffsetOutOfRange, TopicGone

FETCH_BYTES = 4 * 1024 * 1024


def records_in_gaps(
    config: Mapping[str, object],
    topic: str,
    gaps: Mapping[int, Iterable[Range]],
    watermarks: Mapping[int, tuple[int, int]],
    deadline: float,
) -> dict[int, list[int]]:
    """By partition, offsets within the gaps at which a committed record stands. Only where the broker's log reaches.

    The newest gaps come first; what is not looked at by `deadline` (`time.monotonic()`) stays unconfirmed. A gap that
    begins below the log's start is looked at from there on.
    """
    wrong: dict[int, list[int]] = {}
    asked = [
        (partition, max(start, watermarks[partition][0]), min(stop, watermarks[partition][1]))
        for partition, ranges in gaps.items()
        if partition in watermarks
        for start, stop in sorted(ranges, reverse=True)
    ]
    asked = [(p, start, stop) for p, start, stop in asked if start < stop]
    if not asked:
        return wrong
    with Fetcher(config, topic, {}) as fetcher:
        for partition, start, stop in asked:
            if time.monotonic() > deadline:
                break
            try:
                if found := _records(fetcher, partition, start, stop, deadline):
                    wrong.setdefault(partition, []).extend(found)
            except OffsetOutOfRange:  # retention was faster
                continue
            except TopicGone:
                break
    return {partition: sorted(set(offsets)) for partition, offsets in wrong.items()}


def _records(fetcher: Fetcher, partition: int, start: int, stop: int, deadline: float) -> list[int]:
    fetcher.assign({partition: start})
    found: list[int] = []
    while time.monotonic() < deadline:
        fetched = fetcher.fetch(max(min(stop - start, 10_000), 1), FETCH_BYTES, 0.5)
        offsets = fetched.records["_kafka_offset"].to_numpy()
        found += np.asarray(offsets[offsets < stop]).tolist()
        if fetched.positions[partition] >= stop or partition in fetched.at_end:
            break
    return found
