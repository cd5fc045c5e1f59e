"""Receives the hot state and the status; gives every viewer the same encoded updates over its WebSocket.

One update is made a tick and encoded once; there are fewer ticks the more viewers take each. A viewer confirms each binary
frame with `{"ack": seq}`; one that has UNCONFIRMED frames open gets none until it has caught up, and then one frame with
all that it missed, as it is now: fewer frames, never an older queue.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from watling.dashboard.fleet import Positions
from watling.dashboard.frames import encode
from watling.dashboard.hot import HotState, now_ms
from watling.dashboard.status import StatusReader, compose

MOST_FRAMES_PER_SECOND, LEAST_FRAMES_PER_SECOND = 12.0, 4.0
SENDS_PER_SECOND = 400.0  # over all viewers: what a twentieth of a core sends
STATUS_S = 1.0
PLACES_S = 2.0
UNCONFIRMED = 5
TICKS_KEPT = 120  # ten seconds and more: who missed no more than that gets what changed, not all vehicles
TICKS_SHARED = 12
MAX_VIEWERS = 500
SEND_TIMEOUT_S = 20.0
PLACES_SENT = 500

log = logging.getLogger(__name__)


def frames_per_second(viewers: int) -> float:
    """How often that many viewers get a frame."""
    return min(MOST_FRAMES_PER_SECOND, max(LEAST_FRAMES_PER_SECOND, SENDS_PER_SECOND / max(viewers, 1)))


@dataclass(frozen=True, slots=True)
class Tick:
    """What changed in one tick, as slots."""

    seq: int
    moved: npt.NDArray[np.uint32]
    named: tuple[int, ...]
    gone: tuple[int, ...]


class Update:
    """What one tick has for the viewers. `ticks` are those before it, oldest first; this one is added to them."""

    def __init__(self, hot: HotState, seq: int, ticks: deque[Tick]) -> None:
        self._hot = hot
        self.seq = seq
        self.at = now_ms()
        positions, names, gone = hot.changed()
        self.empty = not (len(positions.slot) or names or gone)
        self._delta: tuple[Positions, list[tuple[int, str, str]], list[int]] = (positions, names, gone)
        ticks.append(Tick(seq, positions.slot, tuple(slot for slot, _, _ in names), tuple(gone)))
        self._ticks = ticks
        self._since: dict[int, bytes] = {}

    @cached_property
    def delta(self) -> bytes:
        """The vehicles that changed since the tick before."""
        positions, names, gone = self._delta
        return encode(positions, names, gone, seq=self.seq, at=self.at, whole=False)

    @cached_property
    def whole(self) -> bytes:
        """All vehicles."""
        positions, names = self._hot.everything()
        return encode(positions, names, [], seq=self.seq, at=self.at, whole=True)

    def since(self, seq: int) -> bytes:
        """What changed after that frame, as it is now; all vehicles when that is too long ago. A little more than asked:
        viewers that missed about the same share one encoding. Of the tick's own time: ask before the next tick."""
        first = seq - seq % TICKS_SHARED
        if self._ticks[0].seq > first + 1:
            return self.whole
        if first not in self._since:
            missed = [tick for tick in self._ticks if tick.seq > first]
            moved = np.unique(np.concatenate([tick.moved for tick in missed])).astype(np.int64)
            positions, names = self._hot.some(moved, sorted({slot for tick in missed for slot in tick.named}))
            gone = sorted({slot for tick in missed for slot in tick.gone})
            self._since[first] = encode(positions, names, gone, seq=self.seq, at=self.at, whole=False)
        return self._since[first]


class Viewer:
    """One open WebSocket: at most one frame and one text of each kind wait for it."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.sent: list[int] = []
        self.skipped = 0
        self._given: int | None = None
        self._missed = False
        self._frame: bytes | None = None
        self._texts: dict[str, str] = {}
        self._wake = asyncio.Event()

    def offer(self, update: Update) -> None:
        """Take this tick's vehicles, or remember that they were missed."""
        if self._frame is not None or len(self.sent) >= UNCONFIRMED:
            self._missed = self._missed or not update.empty
            self.skipped += not update.empty
            return
        if self._given is None:
            self._frame = update.whole
        elif self._missed:
            self._frame = update.since(self._given)
        elif not update.empty:
            self._frame = update.delta
        else:
            return
        self._given, self._missed = update.seq, False
        self.sent.append(update.seq)
        self._wake.set()

    def tell(self, kind: str, text: str) -> None:
        """Take a text; a newer one of the same kind replaces one that still waits."""
        self._texts[kind] = text
        self._wake.set()

    async def write(self) -> None:
        """Send what waits, until cancelled or disconnected."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            texts, self._texts = self._texts, {}
            async with asyncio.timeout(SEND_TIMEOUT_S):  # wait_for may lose a cancellation on Python 3.11
                for text in texts.values():
                    await self.socket.send_text(text)
                if self._frame is not None:
                    await self.socket.send_bytes(self._frame)
                    self._frame = None

    async def read(self) -> None:
        """Take confirmations until the viewer leaves."""
        while True:
            message = json.loads(await self.socket.receive_text())
            seq = message.get("ack") if isinstance(message, dict) else None
            if isinstance(seq, int):
                self.sent = [s for s in self.sent if s > seq]


class Hub:
    """Makes the updates and knows the viewers."""

    def __init__(self, hot: HotState, status: StatusReader) -> None:
        self.hot = hot
        self.status = status
        self.viewers: set[Viewer] = set()
        self.frames = 0
        self.frame_bytes = 0
        self._ticks: deque[Tick] = deque(maxlen=TICKS_KEPT)
        self._texts: dict[str, str] = {}
        self._places_version = -1
        self._said_at = self._placed_at = -PLACES_S

    async def run(self) -> None:
        """Tick until cancelled. A tick that runs late is not made up for."""
        loop = asyncio.get_running_loop()
        seq, due = 0, loop.time()
        while True:
            seq += 1
            try:
                self._tick(seq, loop.time())
            except Exception:  # one bad tick must not end the page
                log.exception("an update for the viewers could not be made")
            due = max(due + 1 / frames_per_second(len(self.viewers)), loop.time())
            await asyncio.sleep(due - loop.time())

    def _tick(self, seq: int, now: float) -> None:
        if now - self._said_at >= STATUS_S:
            self._said_at = now
            self._say("status", compose(self.hot, self.status, len(self.viewers)))
            self._say_if_new("quarantine", {"kind": "quarantine", "samples": self.hot.samples()})
        if now - self._placed_at >= PLACES_S and (version := self.hot.places_version()) != self._places_version:
            self._placed_at, self._places_version = now, version
            streams = ("emergency", "traffic", "weather")
            places = {name: self.hot.places(name, PLACES_SENT) for name in streams}
            self._say("places", {"kind": "places", "at": now_ms(), "places": places})
        update = Update(self.hot, seq, self._ticks)
        for viewer in self.viewers:
            viewer.offer(update)
        if not update.empty and self.viewers:
            self.frames += 1
            self.frame_bytes += len(update.delta)

    def _say(self, kind: str, body: dict[str, Any]) -> None:
        self._texts[kind] = text = json.dumps(body, separators=(",", ":"), default=str)
        for viewer in self.viewers:
            viewer.tell(kind, text)

    def _say_if_new(self, kind: str, body: dict[str, Any]) -> None:
        if json.dumps(body, separators=(",", ":"), default=str) != self._texts.get(kind):
            self._say(kind, body)

    async def attend(self, socket: WebSocket) -> None:
        """Serve one viewer until it leaves."""
        if len(self.viewers) >= MAX_VIEWERS:
            await socket.close(1013, f"{MAX_VIEWERS} viewers are connected; try again later")
            return
        await socket.accept()
        viewer = Viewer(socket)
        for kind, text in self._texts.items():
            viewer.tell(kind, text)
        self.viewers.add(viewer)
        tasks = [asyncio.create_task(viewer.read()), asyncio.create_task(viewer.write())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (error := task.exception()) and not isinstance(
                    error, WebSocketDisconnect | TimeoutError | ValueError
                ):
                    log.debug("a viewer left: %r", error)
        finally:
            self.viewers.discard(viewer)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if socket.client_state == WebSocketState.CONNECTED and socket.application_state == WebSocketState.CONNECTED:
                await socket.close(1001)
