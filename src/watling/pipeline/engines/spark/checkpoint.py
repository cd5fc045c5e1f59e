"""Receives a stream's checkpoint folder; gives the offsets that Spark planned, and sets a folder aside that does not fit.

The tables are the truth. Spark's offset log only says which range a batch has: `offsets/N` holds the end of batch N,
`offsets/N-1` (for the first `sources/0/0`) its beginning. Read through Hadoop's file systems, as Spark itself does.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from watling.errors import WatlingError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

KEPT = 3  # folders set aside that are kept
ASIDE = ".set-aside-"

Offsets = dict[int, int]


class CheckpointError(WatlingError):
    """A checkpoint does not say what it must."""


@dataclass(slots=True)
class Checkpoint:
    """The checkpoint of one stream's query, at any path or URI that Spark reaches."""

    spark: SparkSession
    folder: str
    topic: str

    def range(self, number: int) -> tuple[Offsets, Offsets]:
        """({partition: from}, {partition: to, exclusive}) of batch `number`. A partition without a beginning is new.

        Raises:
            CheckpointError: the log has no such batch.
        """
        ends = self._offsets(f"offsets/{number}")
        starts = self._offsets(f"offsets/{number - 1}") if number else self._offsets("sources/0/0")
        if ends is None or starts is None:
            raise CheckpointError(
                f"{self.folder}: the offset log lacks batch {number}. Start again: a new checkpoint begins at the tables' offsets."
            )
        return starts, ends

    def settle(self, nexts: Mapping[int, int]) -> bool:
        """Set the checkpoint aside unless it ends where the tables do, or has the batch that they lack. True: it was."""
        planned = self._newest("offsets")
        if planned is None:
            if not self._exists(""):
                return False
            why = "it is empty or of another program"
        else:
            done = self._newest("commits")
            try:
                starts, ends = self.range(planned)
            except CheckpointError:
                starts, ends = {}, {-1: -1}
            if _agree(ends, nexts) or ((done is None or done < planned) and _agree(starts, nexts)):
                return False
            why = f"it ends at offsets {ends}, the table's next are {dict(sorted(nexts.items()))}"
        aside = f"{self.folder}{ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        log.warning(
            "the Spark checkpoint of topic %s does not fit the table (%s): set aside as %s", self.topic, why, aside
        )
        if not self._system().rename(self._path(""), self._path_of(aside)):
            raise CheckpointError(f"{self.folder} could not be moved to {aside}. Move it away and start again.")
        self._forget_old()
        return True

    def _offsets(self, name: str) -> Offsets | None:
        text = self._text(name)
        if text is None:
            return None
        line = text.strip("\x00\n ").splitlines()[-1]
        try:
            return {int(p): int(o) for p, o in json.loads(line[line.index("{") :])[self.topic].items()}
        except (ValueError, KeyError, AttributeError) as error:
            raise CheckpointError(
                f"{self.folder}/{name} does not hold offsets of topic {self.topic}: {error!r}"
            ) from error

    def _newest(self, log_name: str) -> int | None:
        if not self._exists(log_name):
            return None
        names = [s.getPath().getName() for s in self._system().listStatus(self._path(log_name))]
        return max((int(n) for n in names if n.isdecimal()), default=None)

    def _text(self, name: str) -> str | None:
        if not self._exists(name):
            return None
        stream = self._system().open(self._path(name))
        try:
            return str(self.spark._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))  # type: ignore[union-attr]
        finally:
            stream.close()

    def _forget_old(self) -> None:
        parent = self._path("").getParent()
        mine = f"{self._path('').getName()}{ASIDE}"
        old = sorted(n for s in self._system().listStatus(parent) if (n := s.getPath().getName()).startswith(mine))
        for name in old[:-KEPT]:
            self._system().delete(self._path_of(f"{parent.toString()}/{name}"), True)

    def _exists(self, name: str) -> bool:
        return bool(self._system().exists(self._path(name)))

    def _path(self, name: str) -> Any:
        return self._path_of(f"{self.folder}/{name}" if name else self.folder)

    def _path_of(self, text: str) -> Any:
        return self.spark._jvm.org.apache.hadoop.fs.Path(text)  # type: ignore[union-attr]

    def _system(self) -> Any:
        return self._path("").getFileSystem(self.spark._jsc.hadoopConfiguration())


def _agree(logged: Mapping[int, int], nexts: Mapping[int, int]) -> bool:
    """The same offsets; a partition that the log has not seen yet has nothing read of it."""
    return all(logged.get(p, 0) == o for p, o in nexts.items()) and logged.keys() <= nexts.keys()
