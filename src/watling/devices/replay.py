"""Receives recordings and how to play them; gives the producer wire batches, due when they were recorded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from watling.devices.port import WireBatch
from watling.devices.sources import BATCH, Faults, Options, Play, plan, play
from watling.devices.sources.order import micros
from watling.devices.sources.rows import SourceError

SLICE_S = 0.05  # longest stretch of wall time that one batch covers when the replay is paced
ROUND_GAP_US = 1_000_000

Speed = float | Literal["max"]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay as a source for the producer. `batches()` may be called again and then begins anew.

    `speed` 1 keeps the time between records, 10 divides it by ten, `max` (or infinity) does not wait: the producer paces by `due`;
    here speed only bounds how long a stretch one batch covers. `shift_to` moves the first record to that time (UTC)
    and all others with it. `loop` begins again after the end, for ever, with other ids.
    """

    source: str
    paths: Sequence[Path | str]
    speed: Speed = 1.0
    shift_to: datetime | Literal["now"] | None = None
    loop: bool = False
    options: Options = field(default_factory=Options)
    faults: Faults = field(default_factory=Faults)
    clock: Callable[[], datetime] = _now

    def batches(self) -> Iterator[WireBatch]:
        """Batches with `due` rising across streams and rounds.

        Raises:
            SourceError: the source, a path or an option cannot be used; or a loop over recordings without a record.
        """
        if self.speed != "max" and not self.speed > 0:
            raise SourceError(f"speed {self.speed} cannot be: give a number above 0, or max.", speed=self.speed)
        files = plan(self.source, self.paths, self.options, begin=self.loop or self.shift_to is not None)
        begin = min((b for b, _ in files), default=0)
        ahead, number = 0, 0  # how far the next round's due times move at least
        while True:
            shift = self._shift(begin)
            how = Play(shift, max(shift, ahead) if number else shift, number)
            last = None
            for step in play(self.source, files, self.options, self.faults, how):
                last = max(int(micros(t)[-1]) for t in step.values())
                yield from self._slices(step)
            if not self.loop:
                return
            if last is None:
                raise SourceError(
                    f"{', '.join(map(str, self.paths))}: no record could be read, so there is nothing to repeat.",
                    source=self.source,
                )
            ahead, number = last + ROUND_GAP_US - begin, number + 1

    def _shift(self, begin: int) -> int:
        if self.shift_to is None:
            return 0
        to = self.clock() if self.shift_to == "now" else self.shift_to
        return (to - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) - begin

    def _slices(self, step: dict[str, pa.Table]) -> Iterator[WireBatch]:
        """Cut a step so that batches of several streams follow one another in time."""
        due = {stream: micros(table) for stream, table in step.items()}
        every = np.sort(np.concatenate(list(due.values())))
        at = dict.fromkeys(step, 0)
        done = 0
        while done < len(every):
            until = every[min(done + BATCH, len(every)) - 1]
            if self.speed != "max" and self.speed != math.inf:
                until = min(until, every[done] + int(SLICE_S * 1e6 * self.speed))
            for stream, table in step.items():
                end = int(np.searchsorted(due[stream], until, side="right"))
                if end > at[stream]:
                    yield WireBatch(stream, table.slice(at[stream], end - at[stream]))
                    at[stream] = end
            done = int(np.searchsorted(every, until, side="right"))


def replay(
    source: str,
    paths: Sequence[Path | str],
    *,
    speed: Speed = 1.0,
    shift_to: datetime | Literal["now"] | None = None,
    loop: bool = False,
    map: Path | None = None,
    trim_ends: float | None = None,
    timezone: str | None = None,
    extra: Mapping[str, str] | None = None,
    faults: Faults | None = None,
) -> Iterator[WireBatch]:
    """The batches of a `Replay`. `trim_ends` in metres (default 500 for enviroCar, else 0); see `Options` for the rest."""
    options = Options(map, trim_ends, timezone, extra or {})
    return Replay(source, paths, speed, shift_to, loop, options, Faults() if faults is None else faults).batches()
