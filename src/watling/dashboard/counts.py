"""Receives shaped batches of one stream from `hot`; gives it the stream's rate, freshness, reasons and samples."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.dashboard.fleet import milliseconds

HISTORY_S = 180
RATE_WINDOW_S = 10
SAMPLES = 20
SAMPLE_BYTES = 400


class StreamCounts:
    """What the page has seen of one stream since it started. Times are milliseconds since 1970."""

    def __init__(self) -> None:
        self.seen = 0
        self.bad = 0
        self.reasons: Counter[str] = Counter()
        self.samples: deque[dict[str, Any]] = deque(maxlen=SAMPLES)
        self.last_record_ms: int | None = None
        self.last_event_ms: int | None = None
        self._buckets = np.zeros(HISTORY_S, dtype=np.int64)
        self._bad_buckets = np.zeros(HISTORY_S, dtype=np.int64)
        self._newest_s = 0

    def add(self, shaped: pa.Table, good: pa.Table, bad: pa.Table, *, landed: bool = False) -> None:
        """Count a batch: `shaped` is all of it, `good` and `bad` its two parts. Rows that had `landed` before the page
        began belong to the rates and samples, not to what the page has seen itself."""
        arrived = milliseconds(shaped, "_ingested_at")
        self.seen += 0 if landed else shaped.num_rows
        self.last_record_ms = max(self.last_record_ms or 0, int(arrived.max()))
        if good.num_rows:
            self.last_event_ms = max(self.last_event_ms or 0, int(milliseconds(good, "event_time").max()))
        self._advance(int(arrived.max()) // 1000)
        self._put(self._buckets, arrived // 1000)
        if bad.num_rows:
            self._put(self._bad_buckets, milliseconds(bad, "_ingested_at") // 1000)
            self.bad += 0 if landed else bad.num_rows
            for entry in [] if landed else pc.value_counts(bad["_reason"].combine_chunks()).to_pylist():
                self.reasons[entry["values"]] += entry["counts"]
            self._keep_samples(bad.slice(max(0, bad.num_rows - SAMPLES)))

    def _put(self, buckets: Any, seconds: Any) -> None:
        recent = seconds[seconds > self._newest_s - HISTORY_S]
        np.add.at(buckets, recent % HISTORY_S, 1)

    def _advance(self, second: int) -> None:
        steps = min(second - self._newest_s, HISTORY_S)
        if steps > 0:
            emptied = np.arange(second - steps + 1, second + 1) % HISTORY_S
            self._buckets[emptied] = 0
            self._bad_buckets[emptied] = 0
            self._newest_s = second

    def _keep_samples(self, rows: pa.Table) -> None:
        for row in rows.select(
            ["value", "_kafka_partition", "_kafka_offset", "_ingested_at", "_reason", "_field", "_message"]
        ).to_pylist():
            raw: bytes | None = row["value"]
            self.samples.appendleft(
                {
                    "partition": row["_kafka_partition"],
                    "offset": row["_kafka_offset"],
                    "at": int(row["_ingested_at"].timestamp() * 1000) if row["_ingested_at"] else None,
                    "reason": row["_reason"],
                    "field": row["_field"],
                    "message": row["_message"],
                    "raw": None if raw is None else raw[:SAMPLE_BYTES].decode("utf-8", "replace"),
                    "raw_bytes": 0 if raw is None else len(raw),
                }
            )

    def history(self, now_ms: int) -> tuple[list[int], list[int]]:
        """Records and bad records of each of the last HISTORY_S full seconds, oldest first, by arrival at Kafka."""
        self._advance(now_ms // 1000)
        at = np.arange(now_ms // 1000 - HISTORY_S + 1, now_ms // 1000) % HISTORY_S
        return self._buckets[at].tolist(), self._bad_buckets[at].tolist()

    def rate(self, now_ms: int) -> float:
        """Records a second over the last RATE_WINDOW_S full seconds, by arrival at Kafka."""
        return round(sum(self.history(now_ms)[0][-RATE_WINDOW_S:]) / RATE_WINDOW_S, 1)
