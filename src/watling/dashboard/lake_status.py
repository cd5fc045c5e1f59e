"""Receives where each stream's table stands and where its topic ends; gives the status that the page shows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from watling.contracts.model import Contract
from watling.dashboard.hot import now_ms

HISTORY = 900  # looks at the topic's end, one a second: how far back a lag can be dated


@dataclass(frozen=True, slots=True)
class Standing:
    """A stream's table: counts over all time, next offset of each partition, times in ms since 1970.

    `newest_ms` is the newest `_ingested_at` among its rows, `committed_ms` when it last changed. None: not known.
    """

    landed: int = 0
    quarantined: int = 0
    duplicates: int = 0
    lost: int = 0
    next: Mapping[int, int] = field(default_factory=dict)
    committed_ms: int | None = None
    newest_ms: int | None = None


class LakeStatus:
    """A `StatusSource`. `standing` gives a stream's table (None before its first writer), `ends` a topic's end offsets.

    The lag in seconds is how long ago the topic's end lay where the table is now: exact to a second while the page
    runs, and at least that for records that were there before it.
    """

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        standing: Callable[[Contract], Standing | None],
        ends: Callable[[str], Mapping[int, int]],
        broker: Callable[[], dict[str, Any]],
    ) -> None:
        self._contracts = contracts
        self._standing = standing
        self._ends = ends
        self._broker = broker
        self._looks: dict[str, deque[tuple[int, Mapping[int, int]]]] = {n: deque(maxlen=HISTORY) for n in contracts}

    def read(self) -> dict[str, Any]:
        """The shape of `watling status --json`. A broker that is away leaves the lag unknown, and is named.

        Raises:
            WatlingError: the lake cannot be read.
        """
        broker = self._broker()
        streams = {}
        for name, contract in self._contracts.items():
            standing = self._standing(contract) or Standing()
            streams[name] = {
                "landed": standing.landed,
                "quarantined": standing.quarantined,
                "duplicates": standing.duplicates,
                "lost": standing.lost,
                "freshness_seconds": _age(standing.newest_ms),
                "last_commit": _iso(standing.committed_ms),
                **self._lag(name, contract, standing, bool(broker.get("running"))),
            }
        return {"streams": streams, "broker": broker}

    def _lag(self, name: str, contract: Contract, standing: Standing, reachable: bool) -> dict[str, Any]:
        if not reachable:
            return {"lag_records": None, "lag_seconds": None}
        ends = self._ends(contract.topic)
        now = now_ms()
        looks = self._looks[name]
        looks.append((now, ends))
        waiting = {p: end - standing.next.get(p, 0) for p, end in ends.items() if end > standing.next.get(p, 0)}
        since = now
        for partition in waiting:
            for at, then in looks:
                if then.get(partition, 0) > standing.next.get(partition, 0):
                    since = min(since, at)
                    break
        return {"lag_records": sum(waiting.values()), "lag_seconds": round((now - since) / 1000, 1)}


def _age(ms: int | None) -> float | None:
    return None if ms is None else round(max(0, now_ms() - ms) / 1000, 1)


def _iso(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
