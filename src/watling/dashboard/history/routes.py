"""Receives requests about the past; gives answers from the lake, each bounded, and stopped when its client leaves."""

import asyncio
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response

from watling.config import Settings
from watling.contracts.model import Contract
from watling.dashboard.history import cards, cells, pictures, places
from watling.dashboard.history.answers import TileAnswers
from watling.dashboard.history.filter import MAX_MS, Filter, make_reader
from watling.dashboard.history.frame import Frames
from watling.dashboard.history.models import (
    Cells,
    Extent,
    Incident,
    Pictures,
    PlacesThen,
    Record,
    Refusal,
    TileAnswer,
    TileList,
    TileShown,
    VehicleHistory,
)
from watling.dashboard.history.past import Past
from watling.dashboard.history.pool import QueryPool, refusal
from watling.dashboard.history.tiles import TileFiles
from watling.errors import WatlingError

Result = TypeVar("Result")
DAY_MS = 86_400_000

REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "There is no such thing"},
    422: {"model": Refusal, "description": "A parameter does not fit"},
    503: {"model": Refusal, "description": "The lake is not there yet or does not answer, or too many queries run"},
    504: {"model": Refusal, "description": "The query took longer than its limit"},
}

Id = Annotated[str, Path(min_length=1, max_length=200)]
Kept = Annotated[str, Path(max_length=64)]


def history_routes(
    settings: Settings,
    contracts: Mapping[str, Contract],
    pool: QueryPool,
    read_record: cards.ReadRecord | None = None,
) -> APIRouter:
    """The routes under `/api` that speak of the past. `read_record` reads one record of Kafka."""
    routes = APIRouter(prefix="/api", tags=["history"], responses=REFUSALS)
    past = Past(settings, contracts, pool)
    answers = TileAnswers(past)
    frames = Frames(past)
    files = TileFiles(settings.page.tiles or settings.home / "tiles.yaml", contracts)
    Wanted = Annotated[Filter, Depends(make_reader(contracts))]

    async def ask(
        request: Request,
        question: tuple[Hashable, ...],
        streams: Sequence[str],
        wanted: Filter,
        work: Callable[[threading.Event], Result],
    ) -> Result:
        """The work's result, shared with whoever asks the same of the same files."""
        try:
            marks = await asyncio.to_thread(past.marks, streams, wanted)
        except WatlingError as error:
            raise refusal(error) from error
        return await pool.run(request, work, (*question, wanted, marks))

    @routes.get("/tiles", summary="The tiles of the page, in order", response_model=TileList)
    def tiles() -> TileList:
        now = files.read()
        shown = [
            TileShown(
                id=t.id,
                title=t.title,
                kind=t.kind,
                stream=list(t.reads(tuple(contracts))),
                unit=t.unit,
                by=t.by,
                x=t.x,
                y=t.y,
                series=t.series,
                layout=t.layout,
                order=i,
            )
            for i, t in enumerate(now.tiles.values())
        ]
        return TileList(tiles=shown, problems=list(now.problems))

    @routes.get("/tiles/{tile_id}", summary="A tile's rows under a filter", response_model=TileAnswer)
    async def tile(request: Request, tile_id: Kept, wanted: Wanted) -> TileAnswer:
        found = files.read().tiles.get(tile_id)
        if found is None:
            raise HTTPException(404, f"there is no tile {tile_id!r}; /api/tiles lists them")
        streams = found.reads(tuple(contracts))
        question = ("tile", found.id, found.sql, found.each, tuple(found.units.items()))
        answer = await ask(request, question, streams, wanted, lambda cancel: answers.answer(found, wanted, cancel))
        committed = await asyncio.to_thread(lambda: [past.held(s).committed_ms for s in streams])
        return answer.model_copy(update={"committed_ms": max((c for c in committed if c is not None), default=None)})

    @routes.get("/cells", summary="H3 cells of a stream's rows: how many, how fast", response_model=Cells)
    async def cells_of(
        request: Request,
        wanted: Wanted,
        stream: Annotated[str, Query(max_length=64)] = "gps",
        measure: Literal["count", "speed"] = "count",
        resolution: Annotated[int, Query(ge=3, le=10)] = 7,
    ) -> Cells:
        if stream not in contracts:
            raise HTTPException(404, f"no stream {stream!r}; there are: {', '.join(contracts)}")
        if measure == "speed" and cells.speed_column(contracts[stream]) is None:
            raise HTTPException(422, f"stream {stream} has no speed")
        return await ask(
            request,
            ("cells", stream, resolution),
            [stream],
            wanted,
            lambda cancel: cells.cells(past, answers.covers, stream, wanted, resolution, cancel),
        )

    @routes.get(
        "/frame",
        summary="Last position of each vehicle at a moment, as one binary frame",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
    )
    async def frame(
        request: Request,
        wanted: Wanted,
        at: Annotated[int, Query(ge=0, le=MAX_MS, description="ms since 1970; `from` and `to` have no effect here")],
        seconds: Annotated[int, Query(ge=1, le=600)] = 120,
    ) -> Response:
        body = await pool.run(request, lambda cancel: frames.frame(at, seconds, wanted, cancel))
        return Response(body, media_type="application/octet-stream", headers={"cache-control": "no-store"})

    @routes.get(
        "/places",
        summary="Newest row of each camera, station and incident at a moment: two hours back, incidents a day",
        response_model=PlacesThen,
    )
    async def places_then(
        request: Request, at: Annotated[int, Query(ge=0, le=MAX_MS, description="ms since 1970")]
    ) -> PlacesThen:
        return await pool.run(request, lambda cancel: places.places(past, at, cancel))

    @routes.get(
        "/extent", summary="First and last event time and rows of each stream", response_model=dict[str, Extent]
    )
    async def extent(request: Request) -> dict[str, Extent]:
        def work(_: threading.Event) -> dict[str, Extent]:
            found = {s: past.held(s).extent() for s in contracts}
            return {s: Extent(first_ms=f, last_ms=t, rows=n) for s, (f, t, n) in found.items()}

        return await pool.run(request, work)

    @routes.get(
        "/vehicles/{vehicle_id:path}/history", summary="A vehicle's reports over time", response_model=VehicleHistory
    )
    async def vehicle_history(
        request: Request, vehicle_id: Id, wanted: Wanted, limit: Annotated[int, Query(ge=1, le=20_000)] = 5_000
    ) -> VehicleHistory:
        return await pool.run(request, lambda cancel: cards.vehicle_history(past, vehicle_id, wanted, limit, cancel))

    @routes.get(
        "/vehicles/{vehicle_id:path}/record", summary="A landed row and its record in Kafka", response_model=Record
    )
    async def record(
        request: Request,
        vehicle_id: Id,
        stream: Annotated[str, Query(max_length=64)],
        partition: Annotated[int, Query(ge=0, le=2**31 - 1)],
        offset: Annotated[int, Query(ge=0, le=2**63 - 1)],
    ) -> Record:
        return await pool.run(
            request,
            lambda cancel: cards.record(past, read_record, vehicle_id, stream, partition, offset, cancel),
        )

    @routes.get(
        "/cameras/{camera_id:path}/pictures", summary="A camera's pictures, newest first", response_model=Pictures
    )
    async def camera_pictures(
        request: Request,
        camera_id: Id,
        before: Annotated[int | None, Query(ge=0, le=MAX_MS, description="ms since 1970")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 20,
    ) -> Pictures:
        until = before if before is not None else time.time_ns() // 1_000_000 + DAY_MS
        return await pool.run(request, lambda cancel: cards.camera_pictures(past, camera_id, until, limit, cancel))

    @routes.get(
        "/pictures/{stream}/{name}",
        summary="A picture that a row names",
        response_class=Response,
        responses={
            200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in pictures.TYPES}}
        },
    )
    async def picture(
        request: Request, stream: Kept, name: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
    ) -> Response:
        if stream not in contracts or not any(f.picture for f in contracts[stream].fields):
            raise HTTPException(404, f"no stream {stream!r} has pictures")
        found = await pool.run(request, lambda _: pictures.read(settings, pool.catalog(), name))
        if found is None:
            raise HTTPException(404, "there is no such picture; it may be past its time")
        body, kind = found
        return Response(body, media_type=kind, headers=pictures.HEADERS)

    @routes.get(
        "/incidents/{incident_id:path}", summary="An incident's life and what was near", response_model=Incident
    )
    async def incident(request: Request, incident_id: Id) -> Incident:
        return await pool.run(request, lambda cancel: cards.incident(past, incident_id, cancel))

    return routes
