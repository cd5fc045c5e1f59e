"""Receives nothing; makes this process give memory back to the system as soon as it is free.

A pipeline allocates and frees tens of megabytes many times a second from several threads. Left alone, glibc keeps an
arena a thread and Arrow's allocator keeps what it had at its peak (docs/decisions/0007-memory.md has the figures).
"""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
THRESHOLD = 256 * 1024


def release_early() -> None:
    """Call once, before the first large allocation. Without glibc only Arrow's part has an effect."""
    pa.set_memory_pool(pa.system_memory_pool())
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except AttributeError:  # another C library
            return
        for option, value in ((M_ARENA_MAX, 2), (M_TRIM_THRESHOLD, THRESHOLD), (M_MMAP_THRESHOLD, THRESHOLD)):
            mallopt(option, value)
