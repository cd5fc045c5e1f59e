"""Receives the settings and the page's sources; gives the FastAPI application: page, REST, WebSocket, metrics.

This is one of the three places that compose rooms: `connect` joins the page to the broker, the steps and the lake.
"""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from fastapi import FastAPI, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pyiceberg.catalog import Catalog
from pyiceberg.conversions import from_bytes
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.types import TimestamptzType
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import watling
from watling.broker.admin import ping, watermarks
from watling.broker.client import client_config
from watling.broker.fetch import Fetcher
from watling.config import Settings
from watling.contracts.model import PROVENANCE, Contract
from watling.dashboard.api import live_routes
from watling.dashboard.feed import KafkaFeed, Reader
from watling.dashboard.guard import Guard
from watling.dashboard.hot import HotState
from watling.dashboard.hub import Hub
from watling.dashboard.lake_status import LakeStatus, Standing
from watling.dashboard.metrics import make_registry
from watling.dashboard.status import StatusReader, StatusSource, compose
from watling.errors import UnreachableError
from watling.lake.catalog import open_catalog
from watling.lake.state import ancestors, read_state
from watling.lake.tables import load_table
from watling.pipeline.plan import shape

HERE = Path(__file__).parent
STATIC = HERE / "static"
BASEMAP = HERE / "basemap"
MAX_AGE_S = 31_536_000
INGESTED_AT = next(f.field_id for f in PROVENANCE if f.name == "_ingested_at")


class Feed(Protocol):
    """Something that fills a hot state while the page runs."""

    def start(self, hot: HotState) -> None:
        """Begin, without blocking. Called once, when the page starts."""

    def stop(self) -> None:
        """End within a few seconds. Called once, when the page stops."""


class Assets(StaticFiles):
    """Static files, the compressed twin (`name.gz`) where the client takes it and it is there."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        accepted = dict(scope["headers"]).get(b"accept-encoding", b"").decode("latin-1")
        if "gzip" in accepted and self.lookup_path(path + ".gz")[1] is not None:
            response = await super().get_response(path + ".gz", scope)
            response.headers["content-type"] = mimetypes.guess_type(path)[0] or "application/octet-stream"
            response.headers["content-encoding"] = "gzip"
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
) -> FastAPI:
    """The page. `status` tells totals and lag, `feeds` fill the map; both are started and stopped with the app.

    `app.state.hot` is the `HotState`, `app.state.hub` the `Hub`.
    """
    hot = HotState(contracts)
    reader = StatusReader(status)
    hub = Hub(hot, reader)

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
            await asyncio.gather(*(asyncio.to_thread(feed.stop) for feed in feeds))

    app = FastAPI(
        title="Watling",
        version=watling.__version__,
        summary="Live state of the city's streams.",
        lifespan=lifespan,
        docs_url=None,  # Swagger's page loads scripts from another host
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.hot, app.state.hub = hot, hub
    app.add_middleware(Guard, host=settings.page.host)
    app.include_router(live_routes(hot, hub))
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


def connect(settings: Settings, contracts: Mapping[str, Contract]) -> tuple[LakeStatus, list[KafkaFeed]]:
    """The status source and the feeds of the real system. Nothing is asked of it yet."""
    catalogs: list[Catalog] = []
    newest: dict[str, tuple[int, int | None]] = {}

    def standing(contract: Contract) -> Standing | None:
        if not catalogs:
            catalogs.append(open_catalog(settings))
        table = load_table(catalogs[0], settings, contract.name)
        return _standing(table, newest) if table is not None else None

    def ends(topic: str) -> dict[int, int]:
        return {partition: end for partition, (_, end) in watermarks(settings, topic).items()}

    def broker() -> dict[str, Any]:
        about = {"address": settings.bootstrap_servers, "embedded": settings.embedded_broker}
        try:
            return {**about, "running": True, "cluster_id": ping(settings)}
        except UnreachableError as error:
            return {**about, "running": False, "message": error.message}

    def open_reader(topic: str, positions: dict[int, int]) -> Reader:
        return Fetcher(client_config(settings), topic, positions)

    feeds = [KafkaFeed(c, open_reader, lambda topic: watermarks(settings, topic), shape) for c in contracts.values()]
    return LakeStatus(contracts, standing, ends, broker), feeds


def _standing(table: Table, newest: dict[str, tuple[int, int | None]]) -> Standing:
    """Where the table stands. `newest` keeps what is costly to find: the newest arrival of the last append."""
    state = read_state(table)
    current = table.current_snapshot()
    appended = next((s for s in ancestors(table) if _added_rows(s)), None)
    name = table.name()[-1]
    if appended is not None and newest.get(name, (None, None))[0] != appended.snapshot_id:
        before = newest.get(name, (0, None))[1]
        found = [at for at in (before, _newest_arrival(table, appended)) if at is not None]
        newest[name] = (appended.snapshot_id, max(found, default=None))
    generation = state.generations.get(state.generation)
    return Standing(
        landed=state.total("landed"),
        quarantined=state.total("quarantined"),
        duplicates=state.total("duplicates"),
        lost=state.lost,
        next={p: s.next for p, s in generation.partitions.items()} if generation is not None else {},
        committed_ms=current.timestamp_ms if current is not None else None,
        newest_ms=newest.get(name, (0, None))[1],
    )


def _added_rows(snapshot: Snapshot) -> bool:
    summary = snapshot.summary
    return (
        summary is not None and summary.operation == Operation.APPEND and int(summary.get("added-records", 0) or 0) > 0
    )


def _newest_arrival(table: Table, snapshot: Snapshot) -> int | None:
    """The newest `_ingested_at` that the snapshot added, ms since 1970, from the statistics of its data files."""
    found = [
        int(from_bytes(TimestamptzType(), bound)) // 1000
        for manifest in snapshot.manifests(table.io)
        if manifest.added_snapshot_id == snapshot.snapshot_id
        for entry in manifest.fetch_manifest_entry(table.io)
        if (bound := (entry.data_file.upper_bounds or {}).get(INGESTED_AT)) is not None
    ]
    return max(found, default=None)
