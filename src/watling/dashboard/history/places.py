"""Receives a moment of the past; gives the newest row of each camera, weather station and incident before it."""

from __future__ import annotations

import threading
from typing import Any

from watling.contracts.model import Contract
from watling.dashboard.history.cards import rows_of
from watling.dashboard.history.filter import Filter
from watling.dashboard.history.models import PlacesThen
from watling.dashboard.history.past import Past
from watling.dashboard.places import KEYS, LEFT_OUT, MAX_PLACES
from watling.query.stores import named

BACK_MS = {"emergency": 24 * 3_600_000}
"""How long before the moment a place may have been heard last, where that is not ELSE_BACK_MS."""

ELSE_BACK_MS = 2 * 3_600_000


def places(past: Past, at_ms: int, cancel: threading.Event) -> PlacesThen:
    """The places as the live page would have listed them then, newest first. `first_ms` looks back as far as the rows do.

    Raises:
        QueryError: a limit was met.
    """
    streams = [s for s in KEYS if s in past.contracts]
    return PlacesThen(at=at_ms, places={s: _of(past, past.contracts[s], at_ms, cancel) for s in streams})


def _of(past: Past, contract: Contract, at_ms: int, cancel: threading.Event) -> list[dict[str, Any]]:
    stream = contract.name
    key = f"coalesce({', '.join(KEYS[stream])})"
    columns = [named(f.name) for f in contract.fields if f.name not in LEFT_OUT and f.name != contract.time_column]
    event = f"epoch_ms({named(contract.time_column)})"
    sql = (
        f"SELECT {', '.join(columns)}, _kafka_partition, _kafka_offset, place, event_ms, first_ms FROM ("  # noqa: S608 - names of contracts
        f"SELECT *, {key} AS place, {event} AS event_ms, min({event}) OVER (PARTITION BY {key}) AS first_ms, "
        f"row_number() OVER (PARTITION BY {key} ORDER BY {event} DESC, _kafka_offset DESC) AS newest "
        f"FROM {named(stream)} WHERE {key} IS NOT NULL) WHERE newest = 1 ORDER BY event_ms DESC, place"
    )
    back = BACK_MS.get(stream, ELSE_BACK_MS)
    wanted = Filter(max(0, at_ms - back), at_ms + 1)
    answer = past.ask(sql, [stream], wanted, cancel, max_rows=MAX_PLACES)
    return [{k: v for k, v in row.items() if v is not None} for row in rows_of(answer)]
