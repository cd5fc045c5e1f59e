"""Receives the settings and the page's sources; gives the FastAPI application: page, REST, WebSocket, metrics.

This is one of the three places that compose rooms: `follow_broker` joins the page to the broker and the steps.
"""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import watling
from watling.broker.admin import watermarks
from watling.broker.client import client_config
from watling.broker.errors import BrokerUnreachable
from watling.broker.fetch import Fetcher, OffsetOutOfRange
from watling.config import Settings
from watling.contracts.model import Contract
from watling.dashboard.api import live_routes
from watling.dashboard.explore import explore_routes
from watling.dashboard.feed import KafkaFeed, Reader
from watling.dashboard.guard import Guard
from watling.dashboard.history.cards import ReadRecord
from watling.dashboard.history.models import Refusal
from watling.dashboard.history.pool import QueryPool
from watling.dashboard.history.routes import history_routes
from watling.dashboard.hot import HotState
from watling.dashboard.hub import Hub
from watling.dashboard.jobs import Jobs
from watling.dashboard.metrics import make_registry
from watling.dashboard.operations import operations_routes
from watling.dashboard.status import StatusReader, StatusSource, compose
from watling.lake.offsets import LakeOffsets
from watling.pipeline.surely import shape_surely

HERE = Path(__file__).parent
STATIC = HERE / "static"
BASEMAP = HERE / "basemap"
MAX_AGE_S = 31_536_000
TWINS = (("br", ".br"), ("gzip", ".gz"))
NEVER = re.compile(r";\s*q=0(\.0*)?\s*$")
RECORD_BYTES = 32 * 1024 * 1024
RECORD_S = 3.0


class Feed(Protocol):
    """Something that fills a hot state while the page runs."""

    def start(self, hot: HotState) -> None:
        """Begin, without blocking. Called once, when the page starts."""

    def stop(self) -> None:
        """End within a few seconds. Called once, when the page stops."""


class Assets(StaticFiles):
    """Static files, a compressed twin (`name.br`, `name.gz`) where the client takes it and it is there. Browsers take
    `br`, the smaller, from this machine and over HTTPS only."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        accepted = dict(scope["headers"]).get(b"accept-encoding", b"").decode("latin-1")
        offered = {part.split(";")[0].strip() for part in accepted.split(",") if not NEVER.search(part)}
        for coding, suffix in TWINS:
            if coding in offered and self.lookup_path(path + suffix)[1] is not None:
                response = await super().get_response(path + suffix, scope)
                response.headers["content-type"] = mimetypes.guess_type(path)[0] or "application/octet-stream"
                response.headers["content-encoding"] = coding
                break
        else:
            response = await super().get_response(path, scope)
        response.headers["vary"] = "accept-encoding"
        hashed = path.startswith("assets/")
        response.headers["cache-control"] = f"public, max-age={MAX_AGE_S}, immutable" if hashed else "no-cache"
        return response


def create_app(
    settings: Settings,
    *,
    contracts: Mapping[str, Contract],
    status: StatusSource,
    feeds: Sequence[Feed] = (),
    static: Path = STATIC,
    read_record: ReadRecord | None = None,
) -> FastAPI:
    """The page. `status` tells totals and lag, `feeds` fill the map; both are started and stopped with the app.
    `read_record` reads one record of Kafka for a vehicle's card.

    `app.state.hot` is the `HotState`, `app.state.hub` the `Hub`, `app.state.pool` the `QueryPool` of its queries.
    """
    hot = HotState(contracts)
    reader = StatusReader(status)
    hub = Hub(hot, reader)
    pool = QueryPool(settings)
    jobs = Jobs(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(reader.run()), asyncio.create_task(hub.run())]
        for feed in feeds:
            feed.start(hot)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(
                pool.close(), asyncio.to_thread(jobs.close), *(asyncio.to_thread(feed.stop) for feed in feeds)
            )

    app = FastAPI(
        title="Watling",
        version=watling.__version__,
        summary="Live state of the city's streams.",
        lifespan=lifespan,
        docs_url=None,  # Swagger's page loads scripts from another host
        redoc_url=None,
        openapi_url="/api/openapi.json",
        responses={422: {"model": Refusal, "description": "A parameter does not fit"}},
    )
    app.state.hot, app.state.hub, app.state.pool = hot, hub, pool
    app.add_middleware(Guard, host=settings.page.host)
    app.add_exception_handler(RequestValidationError, refuse)
    app.include_router(history_routes(settings, contracts, pool, read_record))
    app.include_router(live_routes(hot, hub))
    app.include_router(explore_routes(settings, contracts, pool))
    app.include_router(
        operations_routes(settings, contracts, pool, jobs, lambda: compose(hot, reader, len(hub.viewers)))
    )
    registry = make_registry(lambda: compose(hot, reader, len(hub.viewers)), lambda: (hub.frames, hub.frame_bytes))

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> JSONResponse:
        return JSONResponse({"ok": True, "version": watling.__version__})

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.websocket("/ws")
    async def live(socket: WebSocket) -> None:
        await hub.attend(socket)

    app.mount("/basemap", StaticFiles(directory=BASEMAP), name="basemap")
    if (static / "index.html").is_file():
        app.mount("/", Assets(directory=static, html=True), name="page")
    else:

        @app.get("/", include_in_schema=False)
        def not_built() -> PlainTextResponse:
            text = "The page is not built. In a clone: `.venv/bin/python tools/build_page.py`, then start it again.\n"
            return PlainTextResponse(text, status_code=503)

    return app


async def refuse(_: Request, error: Exception) -> JSONResponse:
    """A parameter that does not fit, in a sentence."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    said = "; ".join(f"`{'.'.join(str(p) for p in f['loc'][1:]) or f['loc'][0]}`: {f['msg']}" for f in faults[:5])
    return JSONResponse({"detail": said or "the request does not fit"}, status_code=422)


def read_one(settings: Settings) -> ReadRecord:
    """Reads single records of the broker of `settings`, each with a consumer of its own."""

    def read(topic: str, partition: int, offset: int) -> bytes | None:
        try:
            fetcher = Fetcher(client_config(settings), topic, {partition: offset})
        except OffsetOutOfRange:
            return None
        try:
            records = fetcher.fetch(1, RECORD_BYTES, RECORD_S).records
        except OffsetOutOfRange:
            return None
        finally:
            fetcher.close()
        if records.num_rows == 0:
            raise BrokerUnreachable(f"the broker gave no record of {topic} within {RECORD_S:g} s")
        row = records.slice(0, 1).to_pylist()[0]
        return row["value"] if row["_kafka_offset"] == offset else None

    return read


def follow_broker(settings: Settings, contracts: Mapping[str, Contract]) -> list[KafkaFeed]:
    """A feed a stream, from the broker of `settings` through the pipeline's own steps. Nothing is asked of it yet."""

    def open_reader(topic: str, positions: dict[int, int]) -> Reader:
        return Fetcher(client_config(settings), topic, positions)

    lake = LakeOffsets(settings)
    return [
        KafkaFeed(c, open_reader, lambda topic: watermarks(settings, topic), shape_surely, lake.following)
        for c in contracts.values()
    ]
