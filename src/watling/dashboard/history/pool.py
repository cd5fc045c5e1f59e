"""Receives queries of the page's routes; runs few at once in threads, each bounded in time, and stops those nobody waits for.

A route hands in `work(cancel)`, which must end soon after `cancel` is set (`LakeSql.execute` does). Equal questions asked
at the same moment (same `key`) run once; their answer is kept until it falls out of a bounded memory.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

from fastapi import HTTPException
from pyiceberg.catalog import Catalog
from starlette.requests import Request

from watling.config import Settings
from watling.errors import UnreachableError, WatlingError
from watling.lake.catalog import lake_dir, open_catalog, uses_local_lake
from watling.lake.errors import LakeUnreachable
from watling.query.errors import QueryCancelled, QueryError, QueryTimeout
from watling.query.sql import LakeSql, Limits, open_lake

AT_ONCE = 4
WAIT_S = 10.0
LOOK_S = 0.1
GRACE_S = 3.0  # what work may take to end once it was told to
KEPT = 256
CLIENT_LEFT = 499  # nginx's number for it; nobody reads the answer

Result = TypeVar("Result")
Work = Callable[[threading.Event], Result]


class Busy(UnreachableError):
    """Every query slot was taken for too long."""


@dataclass(slots=True)
class _Flight:
    """A query that runs or waits to, and how many requests want its answer."""

    task: asyncio.Task[Any]
    cancel: threading.Event
    waiting: int = 0


class QueryPool:
    """One for the whole page. Its methods are called on the event loop, `work` runs in its threads."""

    def __init__(self, settings: Settings, *, at_once: int = AT_ONCE, wait_s: float = WAIT_S) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="page-query")
        self._slots = asyncio.Semaphore(at_once)
        self._wait_s = wait_s
        self._flights: dict[Hashable, _Flight] = {}
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._sql: LakeSql | None = None
        self._catalog: Catalog | None = None

    @property
    def timeout_s(self) -> float:
        """How long one query may take."""
        return min(self._settings.page.query_timeout_s, self._settings.query.timeout_s)

    def limits(self, max_rows: int) -> Limits:
        """The page's limits for a query of at most that many rows."""
        whole = Limits.of(self._settings.query)
        return Limits(self.timeout_s, min(max_rows, whole.max_rows), whole.max_bytes)

    def catalog(self) -> Catalog:
        """The lake's catalog, opened at first use. Call it in `work`.

        Raises:
            LakeUnreachable: there is no lake yet, or it does not answer.
        """
        with self._lock:
            if self._catalog is None:
                if uses_local_lake(self._settings) and not (lake_dir(self._settings) / "catalog.db").is_file():
                    raise LakeUnreachable("there is no lake yet: the pipeline makes it (`watling up` or `watling run`)")
                self._catalog = open_catalog(self._settings)
            return self._catalog

    def sql(self) -> LakeSql:
        """SQL over the lake, shared by all the page's queries. Call it in `work`; never close it.

        Raises:
            LakeUnreachable: there is no lake yet, or it does not answer.
        """
        catalog = self.catalog()
        with self._lock:
            if self._sql is None:
                self._sql = open_lake(self._settings, catalog)
            return self._sql

    async def run(self, request: Request | None, work: Work[Result], key: Hashable = None) -> Result:
        """The work's result. With a `key` its answer is shared and kept: it must name all that the answer depends on.

        Raises:
            HTTPException: 422 for a query that cannot be, 503 when the lake is away or all slots are taken, 504 when
                time was up, 499 when the client left.
        """
        if key is not None and key in self._kept:
            self._kept.move_to_end(key)
            return cast(Result, self._kept[key])
        flight = self._flights.get(key) if key is not None else None
        if flight is None or flight.cancel.is_set() or flight.task.done():
            cancel = threading.Event()
            flight = _Flight(asyncio.create_task(self._fly(work, cancel, key)), cancel)
            if key is not None:
                self._flights[key] = flight
            flight.task.add_done_callback(partial(self._landed, key, flight))
        return cast(Result, await self._attend(request, flight))

    async def close(self) -> None:
        """Stop what runs. Called once, when the page stops."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel.set()
        sql = self._sql
        if sql is not None:
            await asyncio.to_thread(sql.close)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _landed(self, key: Hashable, flight: _Flight, task: asyncio.Task[Any]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # a failure nobody waited for is no news

    async def _attend(self, request: Request | None, flight: _Flight) -> Any:
        """Wait for the flight as long as the client does; the last one to leave stops it."""
        flight.waiting += 1
        try:
            while not flight.task.done():
                await asyncio.wait({flight.task}, timeout=LOOK_S)
                if not flight.task.done() and request is not None and await request.is_disconnected():
                    raise HTTPException(CLIENT_LEFT, "the client left")
            return flight.task.result()
        except WatlingError as error:
            raise refusal(error) from error
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.task.done():
                flight.cancel.set()

    async def _fly(self, work: Work[Result], cancel: threading.Event, key: Hashable) -> Result:
        try:
            async with asyncio.timeout(self._wait_s):
                await self._slots.acquire()
        except TimeoutError:
            raise Busy(f"the page runs as many queries as it may; none ended within {self._wait_s:g} s") from None
        timer: asyncio.TimerHandle | None = None
        late = False

        def over() -> None:
            nonlocal late
            late = True
            cancel.set()

        try:
            if cancel.is_set():
                raise QueryCancelled("the query was stopped")
            loop = asyncio.get_running_loop()
            timer = loop.call_later(self.timeout_s + GRACE_S, over)  # several statements of one work add up
            result = await loop.run_in_executor(self._threads, work, cancel)
        except QueryCancelled:
            if late:
                raise QueryTimeout(f"the answer took longer than {self.timeout_s:g} s and was stopped") from None
            raise
        finally:
            if timer is not None:
                timer.cancel()
            self._slots.release()
        if key is not None:
            self._kept[key] = result
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return result


def refusal(error: WatlingError) -> HTTPException:
    """The answer to a request whose work failed so."""
    if isinstance(error, QueryTimeout):
        return HTTPException(504, error.message)
    if isinstance(error, QueryCancelled):
        return HTTPException(CLIENT_LEFT, error.message)
    if isinstance(error, UnreachableError):
        return HTTPException(503, error.message)
    if isinstance(error, QueryError):
        return HTTPException(422, error.message)
    return HTTPException(500, error.message)
