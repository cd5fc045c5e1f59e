"""Receives nothing; makes this process give memory back to the system as soon as it is free or no longer needed.

A pipeline allocates and frees tens of megabytes many times a second from several threads. Left alone, glibc keeps an
arena a thread and Arrow's allocator keeps what it had at its peak (docs/decisions/0007-memory.md has the figures).
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from pathlib import Path

import pyarrow as pa

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
THRESHOLD = 1024 * 1024
MADV_DONTNEED = 4  # mman.h


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


@cache
def let_compiler_go() -> None:
    """Once what numba compiles has run: of LLVM's 70 MB some 18 are needed from then on. Later calls do nothing."""
    _let_code_go("libllvmlite")


def _let_code_go(library: str) -> None:
    """Drop the resident pages of a loaded library's machine code. `library` is a part of its file name.

    Nothing is unloaded: code that runs again is read again from the file, page by page. Only executable mappings of the
    file that nobody may write to are touched, so no data can be lost.
    """
    if sys.platform != "linux":
        return
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no /proc here
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in maps.splitlines():
        addresses, access, *_, file = line.split(maxsplit=5)
        if access == "r-xp" and library in file.rpartition("/")[2]:
            start, end = (int(part, 16) for part in addresses.split("-"))
            madvise(start, end - start, MADV_DONTNEED)
