"""Receives settings and contracts from a pipeline; runs one pass of maintenance in a process of its own.

Beside the pipeline, not in it: a pass would hold its interpreter for a second at a time and leave it 200 MB larger
(docs/decisions/0007-memory.md). The process ends when its work is done or its starter goes, whichever comes first.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
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
from watling.ops.memory import release_early

LOOK_S = 0.2
END_S = 10.0  # after a stop, how long the merge in hand may take to end
NICE = 5
LOG_TAIL = 2000


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
        assert child.stdin is not None
        try:
            child.stdin.write(pickle.dumps((settings, dict(contracts), orphans)))
            child.stdin.flush()
            while child.poll() is None and not stop.wait(LOOK_S):
                pass
            child.stdin.close()  # asks it to end, should it still run
            child.wait(END_S)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            pass
        finally:
            if child.poll() is None:
                child.kill()
            code = child.wait()
        if code and not stop.is_set():
            said.seek(max(0, said.seek(0, os.SEEK_END) - LOG_TAIL))
            why = said.read().decode(errors="replace").strip()
            raise UpkeepFailed(f"maintenance of the lake ended with {code}; the next pass tries again. It said: {why}")


def main() -> None:
    """The child: one pass; a closed standard input asks it to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the pipeline passes it on
    os.nice(NICE)
    release_early()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    settings, contracts, orphans = pickle.load(sys.stdin.buffer)  # noqa: S301  from our own parent
    stop = threading.Event()

    def watch() -> None:
        sys.stdin.buffer.read()
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    maintain(open_catalog(settings), settings, contracts, orphans=orphans, stop=stop)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(0)  # not through the watching thread, which sits in a read


if __name__ == "__main__":
    main()
