"""Receives shaped batches from `feed`; gives the hub and the API one hot state: fleet, counts, places.

The rows come out of the pipeline's own steps, so what is good here is what lands in the lake. Safe to use from
several threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from watling.contracts.model import Contract
from watling.dashboard.counts import StreamCounts
from watling.dashboard.fleet import Fleet, Longs, Positions
from watling.dashboard.places import KEYS, Places, is_open

MOVING = ("vehicle", "gps")
SILENT_MS = 60_000


def now_ms() -> int:
    """Milliseconds since 1970, the unit of every time on the page."""
    return time.time_ns() // 1_000_000


class HotState:
    """The newest of everything, bounded in memory."""

    def __init__(self, contracts: Mapping[str, Contract], *, max_vehicles: int = 100_000) -> None:
        self.streams = tuple(contracts)
        self.contracts = dict(contracts)
        self._lock = threading.Lock()
        self._fleet = Fleet(max_vehicles)
        self._counts = {name: StreamCounts() for name in contracts}
        self._places = {
            name: Places(name, tuple(f.name for f in contract.fields))
            for name, contract in contracts.items()
            if name in KEYS
        }
        self._faults: dict[str, str] = {}
        self._skipped: dict[str, int] = {}

    def apply(self, stream: str, shaped: pa.Table, *, landed: bool = False) -> None:
        """Take in one batch of a stream, as `pipeline.plan.shape` gives it.

        `landed` rows stood in the lake when the page began: they fill the map and the rates and are not counted again.
        """
        if shaped.num_rows == 0:
            return
        is_good = pc.is_null(shaped["_reason"])
        good, bad = shaped.filter(is_good), shaped.filter(pc.invert(is_good))
        with self._lock:
            self._counts[stream].add(shaped, good, bad, landed=landed)
            if good.num_rows == 0:
                return
            if stream in MOVING:
                self._fleet.update(good, self.streams.index(stream))
            elif stream in self._places:
                self._places[stream].update(good)

    def report_fault(self, stream: str, message: str | None) -> None:
        """The stream cannot be followed (with the reason), or can again (None)."""
        with self._lock:
            if message is None:
                self._faults.pop(stream, None)
            else:
                self._faults[stream] = message

    def report_skipped(self, stream: str, records: int) -> None:
        """The page left out that many records of the stream since it started, to be with the newest."""
        with self._lock:
            self._skipped[stream] = records

    def changed(self) -> tuple[Positions, list[tuple[int, str, str]], list[int]]:
        """Vehicles that changed since the last call. One caller only: the hub."""
        with self._lock:
            return self._fleet.changed()

    def everything(self) -> tuple[Positions, list[tuple[int, str, str]]]:
        """All vehicles."""
        with self._lock:
            return self._fleet.everything()

    def some(self, slots: Longs, named: Iterable[int]) -> tuple[Positions, list[tuple[int, str, str]]]:
        """Positions as they are now of those slots, names as they are now of the others."""
        with self._lock:
            return self._fleet.some(slots, named)

    def card(self, vehicle: str) -> dict[str, Any] | None:
        """All that is known of one vehicle, or None."""
        with self._lock:
            card = self._fleet.card(vehicle)
        if card is not None:
            stream = self.streams[card.pop("source")]
            card["stream"], card["topic"] = stream, self.contracts[stream].topic
        return card

    def counts(self) -> dict[str, dict[str, Any]]:
        """Per stream: seen, bad, reasons, rate, rates and bad_rates of the last seconds, times, skipped, fault."""
        now = now_ms()
        with self._lock:
            out = {}
            for name, counts in self._counts.items():
                rates, bad_rates = counts.history(now)
                out[name] = {
                    "seen": counts.seen,
                    "bad": counts.bad,
                    "reasons": dict(counts.reasons.most_common()),
                    "rate": counts.rate(now),
                    "rates": rates,
                    "bad_rates": bad_rates,
                    "last_record_ms": counts.last_record_ms,
                    "last_event_ms": counts.last_event_ms,
                    "skipped": self._skipped.get(name, 0),
                    "fault": self._faults.get(name),
                }
            return out

    def samples(self) -> dict[str, list[dict[str, Any]]]:
        """Per stream the newest quarantined records, newest first."""
        with self._lock:
            return {name: list(counts.samples) for name, counts in self._counts.items()}

    def tally(self) -> dict[str, Any]:
        """Counts over the fleet and the incidents."""
        with self._lock:
            incidents = self._places["emergency"].newest() if "emergency" in self._places else []
            still_open = [i for i in incidents if is_open(i)]
            types: dict[str, int] = {}
            for incident in still_open:
                types[incident.get("type", "Other")] = types.get(incident.get("type", "Other"), 0) + 1
            return {
                "fleet": self._fleet.tally(now_ms(), SILENT_MS),
                "incidents": {"known": len(incidents), "open": len(still_open), "open_by_type": types},
            }

    def places(self, stream: str, limit: int = 2000) -> list[dict[str, Any]]:
        """The newest row of each place of a stream, newest first; empty for streams without places."""
        with self._lock:
            return self._places[stream].newest(limit) if stream in self._places else []

    def places_version(self) -> int:
        """Grows whenever a place changed."""
        with self._lock:
            return sum(p.version for p in self._places.values())
