"""Receives the name of a point in the code; kills the process there when a test asked for it.

`WATLING_FAILPOINT=name` or `name:N` (the N-th time it is reached) ends the process as `kill -9` would. Unset it costs
one dictionary look-up. It exists so that anybody can check the exactly-once promise against a real death.
"""

from __future__ import annotations

import os
import signal

_name, _, _count = os.environ.get("WATLING_FAILPOINT", "").partition(":")
_left = int(_count or 1)


def failpoint(name: str) -> None:
    """Die here, without any clean-up, if this point was chosen."""
    global _left
    if name != _name:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
