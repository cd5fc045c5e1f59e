"""Receives a member; gives whole lines of it in bounded blocks, each with the number of its first line.

A damaged end (a truncated gzip, a bomb) is one fault that names the last line that could be read; what came before
is kept.
"""

from __future__ import annotations

from collections.abc import Iterator

from watling.devices.sources.faults import Faults
from watling.devices.sources.files import BROKEN, Member

BLOCK = 1024 * 1024
MAX_LINE = 4 * 1024 * 1024  # longer lines are broken records, not read whole


def blocks(member: Member, faults: Faults) -> Iterator[tuple[int, bytes]]:
    """Yield `(number of the first line, bytes)`; the bytes end with a line break, except perhaps the last.

    A byte-order mark at the start is dropped, and so is a line that a damage cuts off.
    """
    line, rest, dropping, first = 1, b"", False, True
    for chunk in _chunks(member):
        if isinstance(chunk, str):
            faults.add(member.name, line, f"the file cannot be read further: {chunk}")
            return
        data = rest + chunk
        if first and len(data) >= 3:
            data, first = data.removeprefix(b"\xef\xbb\xbf"), False
        if dropping:
            end = data.find(b"\n")
            if end < 0:
                rest = b""
                continue
            data, dropping, line = data[end + 1 :], False, line + 1
        cut = data.rfind(b"\n") + 1
        if cut == 0 and len(data) > MAX_LINE:
            faults.add(member.name, line, f"the line is longer than {MAX_LINE // 1024 // 1024} MiB")
            rest, dropping = b"", True
            continue
        if cut:
            yield line, data[:cut]
            line += data.count(b"\n", 0, cut)
        rest = data[cut:]
    if first:
        rest = rest.removeprefix(b"\xef\xbb\xbf")
    if rest and not dropping:
        yield line, rest


def _chunks(member: Member) -> Iterator[bytes | str]:
    """The bytes, and at a damage its message instead of an end."""
    try:
        with member.open() as stream:
            while chunk := stream.read(BLOCK):
                yield chunk
    except BROKEN as error:
        yield str(error) or type(error).__name__
