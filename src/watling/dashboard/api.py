"""Receives REST requests for the hot state; gives JSON. Every parameter is checked; every answer is bounded."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query

from watling.dashboard.hot import HotState
from watling.dashboard.hub import Hub
from watling.dashboard.status import compose

MAX_LISTED = 5000


def live_routes(hot: HotState, hub: Hub) -> APIRouter:
    """The routes under `/api` that speak of now."""
    routes = APIRouter(prefix="/api", tags=["live"])

    @routes.get("/status", summary="Per stream: state, totals, rate, lag, freshness, quarantine")
    def status() -> dict[str, Any]:
        return compose(hot, hub.status, len(hub.viewers))

    @routes.get("/vehicles", summary="The newest position of each vehicle, as rows")
    def vehicles(
        limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 1000,
        search: Annotated[str, Query(max_length=100)] = "",
    ) -> dict[str, Any]:
        positions, names = hot.everything()
        known = {slot: (vehicle, kind) for slot, vehicle, kind in names}
        rows: list[dict[str, Any]] = []
        for i, slot in enumerate(positions.slot.tolist()):
            vehicle, kind = known[slot]
            if search.lower() in vehicle.lower():
                rows.append(
                    {
                        "vehicle_id": vehicle,
                        "vehicle_type": kind or None,
                        "latitude": round(float(positions.latitude[i]), 6),
                        "longitude": round(float(positions.longitude[i]), 6),
                        "speed_kmh": _known(positions.speed[i]),
                        "heading_deg": _known(positions.heading[i]),
                        "seen_ms": int(positions.seen[i]),
                        "event_ms": int(positions.event[i]),
                    }
                )
        rows.sort(key=lambda r: -r["seen_ms"])
        return {"matching": len(rows), "vehicles": rows[:limit]}

    @routes.get("/vehicles/{vehicle_id:path}", summary="One vehicle: facts, last event, trail", responses={404: {}})
    def vehicle(vehicle_id: Annotated[str, Path(min_length=1, max_length=200)]) -> dict[str, Any]:
        card = hot.card(vehicle_id)
        if card is None:
            raise HTTPException(404, f"no vehicle {vehicle_id!r} has been heard since the page started")
        return card

    @routes.get("/quarantine", summary="Per stream: reasons seen since the page started, newest samples")
    def quarantine() -> dict[str, Any]:
        counts = hot.counts()
        return {
            name: {"reasons": counts[name]["reasons"], "samples": samples} for name, samples in hot.samples().items()
        }

    @routes.get(
        "/places/{stream}", summary="Newest row of each incident, camera or weather station", responses={404: {}}
    )
    def places(
        stream: Annotated[str, Path(max_length=64)], limit: Annotated[int, Query(ge=1, le=2000)] = 500
    ) -> list[dict[str, Any]]:
        if stream not in hot.streams:
            raise HTTPException(404, f"no stream {stream!r}; there are: {', '.join(hot.streams)}")
        return hot.places(stream, limit)

    @routes.get("/contracts", summary="The streams and their columns")
    def contracts() -> dict[str, Any]:
        return {
            name: {
                "version": contract.version,
                "topic": contract.topic,
                "description": contract.description,
                "columns": [
                    {"name": f.name, "type": f.type, "unit": f.unit, "required": f.required, "personal": f.personal}
                    for f in contract.fields
                ],
            }
            for name, contract in hot.contracts.items()
        }

    return routes


def _known(value: float) -> float | None:
    return None if value != value else round(float(value), 1)
