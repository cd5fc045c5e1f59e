"""Receives settings and contracts from a pipeline; runs one pass of maintenance in a process of its own.

Beside the pipeline, not in it: a pass would hold its interpreter for a second at a time and leave it 200 MB larger
(docs/decisions/0007-memory.md). The process ends when its work is done or its starter goes, whichever comes first.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping

from watling.config import Settings
from watling.contracts.model import Contract
from watling.errors import WatlingError
from watling.lake.catalog import open_catalog
from watling.lake.maintain import maintain
from watling.ops.apart import attend, begin, last_words, leave, when_asked_to_stop
from watling.ops.memory import release_early

LOOK_S = 0.2


class UpkeepFailed(WatlingError):
    """A pass of maintenance ended with a fault; the tables are as they were, or further by whole commits."""


def maintain_apart(
    settings: Settings, contracts: Mapping[str, Contract], *, orphans: bool, stop: threading.Event
) -> None:
    """One pass of `maintain` in a child process. Returns when it has ended, or at most END_S after `stop`.

    Raises:
        UpkeepFailed: with the end of what the process said.
    """
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [sys.executable, "-m", "watling.lake.upkeep"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
        )
        code = attend(child, (settings, dict(contracts), orphans), lambda: not stop.wait(LOOK_S))
        if code and not stop.is_set():
            raise UpkeepFailed(
                f"maintenance of the lake ended with {code}; the next pass tries again. It said: {last_words(said)}"
            )


def main() -> None:
    """The child: one pass; a closed standard input asks it to stop."""
    release_early()
    settings, contracts, orphans = begin()
    stop = threading.Event()
    when_asked_to_stop(stop.set)
    maintain(open_catalog(settings), settings, contracts, orphans=orphans, stop=stop)
    leave()


if __name__ == "__main__":
    main()
