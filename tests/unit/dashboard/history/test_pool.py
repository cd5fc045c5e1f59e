"""The page's queries: few at once, shared where they are the same, stopped where nobody waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import HTTPException

from watling.config import load_settings
from watling.dashboard.history.pool import QueryPool
from watling.query.errors import QueryCancelled, QueryError


def in_a_loop(work: Coroutine[None, None, None]) -> None:
    """Run it in a thread of its own: a browser's test before this one may have left a loop running in ours."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result(30)


class Leaving:
    """A request whose client leaves at a moment."""

    def __init__(self, after_s: float) -> None:
        self.at = time.monotonic() + after_s

    async def is_disconnected(self) -> bool:
        return time.monotonic() > self.at


def until(cancel: threading.Event) -> str:
    if cancel.wait(10):
        raise QueryCancelled("stopped")
    return "ended by itself"


def test_equal_questions_run_once_and_are_kept() -> None:
    """Fifty viewers of one page cost the lake what one costs."""
    runs = []

    def work(_: threading.Event) -> int:
        runs.append(1)
        time.sleep(0.1)
        return len(runs)

    async def main() -> None:
        pool = QueryPool(load_settings())
        assert await asyncio.gather(*(pool.run(None, work, "k") for _ in range(50))) == [1] * 50
        assert await pool.run(None, work, "k") == 1
        assert await pool.run(None, work, "other") == 2
        await pool.close()

    in_a_loop(main())


def test_a_query_ends_when_its_last_client_leaves() -> None:
    """Whoever closes the page frees the machine; whoever still waits gets the answer."""
    stopped: list[bool] = []

    def work(cancel: threading.Event) -> str:
        stopped.append(cancel.wait(1.0))
        if stopped[-1]:
            raise QueryCancelled("stopped")
        return "done"

    async def main() -> None:
        pool = QueryPool(load_settings())
        leaving, staying = pool.run(Leaving(0.1), work, "k"), pool.run(Leaving(9), work, "k")  # type: ignore[arg-type]
        first, second = await asyncio.gather(leaving, staying, return_exceptions=True)
        assert isinstance(first, HTTPException)
        assert second == "done"
        with pytest.raises(HTTPException):
            await pool.run(Leaving(0.1), work, "alone")  # type: ignore[arg-type]
        await asyncio.sleep(0.3)
        assert stopped == [False, True]
        await pool.close()

    in_a_loop(main())


def test_more_than_fit_wait_and_are_then_refused() -> None:
    """A storm of queries gives a clear 503, not a page that hangs."""

    async def main() -> None:
        pool = QueryPool(load_settings(), at_once=2, wait_s=0.2)
        running = [asyncio.create_task(pool.run(Leaving(1), until)) for _ in range(2)]  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        with pytest.raises(HTTPException) as refused:
            await pool.run(None, until)
        assert refused.value.status_code == 503
        await asyncio.gather(*running, return_exceptions=True)
        assert await pool.run(None, lambda _: "free again") == "free again"
        await pool.close()

    in_a_loop(main())


def test_faults_become_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that cannot be is the asker's fault, and said so; it is tried anew next time, also when that is at once."""
    monkeypatch.setattr("watling.dashboard.history.pool.LOOK_S", 0)  # the asker is back before the loop has tidied up
    runs: set[int] = set()

    async def main() -> None:
        pool = QueryPool(load_settings())
        for key in range(50):

            def work(_: threading.Event, key: int = key) -> str:
                if key not in runs:
                    runs.add(key)
                    raise QueryError("no such column")
                return "ok"

            with pytest.raises(HTTPException) as refused:
                await pool.run(None, work, key)
            assert (refused.value.status_code, refused.value.detail) == (422, "no such column")
            assert await pool.run(None, work, key) == "ok"
        await pool.close()

    in_a_loop(main())
