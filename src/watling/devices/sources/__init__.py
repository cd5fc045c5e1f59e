"""Receives the name of a source, paths and options; gives the wire's records, in order of when they are due.

One adapter a file, one port for all: an adapter is a `read(member, options, faults)` that turns one file into `Rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

import pyarrow as pa

from watling.devices.port import WireBatch
from watling.devices.sources import trim
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import Member, members
from watling.devices.sources.order import Batch, Source, merged, micros
from watling.devices.sources.rows import Options, Read, Rows, SourceError
from watling.devices.sources.wire import Play, records

__all__ = ["SOURCES", "Faults", "Options", "Play", "SourceError", "adapter", "open_source", "plan", "play", "records"]

SOURCES: dict[str, str] = {
    "envirocar": "envirocar",
    "gtfs-rt": "gtfs_rt",
    "siri-vm": "siri_vm",
    "jamcam": "jamcam",
    "webtris": "webtris",
    "aurn": "aurn",
    "lfb": "lfb",
    "stats19": "stats19",
    "phone": "phone",
    "csv": "csv",
    "ndjson": "ndjson",
    "parquet": "parquet",
}
"""Name of a source: its module here. Each has `SUFFIXES` and `read`."""

TRIPS = frozenset({"phone", "csv", "ndjson", "parquet"})
"""Sources whose trips have ends that can be trimmed, beside `envirocar`, which does it by itself."""

BATCH = 16_384


def reader(name: str, options: Options) -> tuple[Sequence[str], Read]:
    """An adapter that leaves out trip ends if the options ask for it. Raises SourceError where a source has no trips."""
    suffixes, read = adapter(name)
    if not options.trim_ends or name == "envirocar":
        return suffixes, read
    if name not in TRIPS:
        raise SourceError(
            f"{name}: there are no trips whose ends could be trimmed. Leave --trim-ends out.", source=name
        )
    return suffixes, partial(trim.trimmed, read)


def adapter(name: str) -> tuple[Sequence[str], Read]:
    """The file suffixes an adapter reads in folders, and its `read`. Raises SourceError for an unknown name."""
    if name not in SOURCES:
        raise SourceError(f"there is no source {name!r}. Sources: {', '.join(SOURCES)}.", source=name)
    module = import_module(f"watling.devices.sources.{SOURCES[name]}")
    return module.SUFFIXES, module.read


def open_source(
    name: str, paths: Sequence[Path | str], options: Options | None = None, faults: Faults | None = None
) -> Iterator[WireBatch]:
    """Read recordings as they are: every record once, `due` at its event time (feeds: at the feed's time).

    `faults` collects what could not be read. Memory does not grow with the input.

    Raises:
        SourceError: the source, a path or an option cannot be used. Broken records do not raise.
    """
    faults = Faults() if faults is None else faults
    files = plan(name, paths, options or Options())
    for step in play(name, files, options or Options(), faults, Play()):
        for stream, table in step.items():
            for start in range(0, len(table), BATCH):
                yield WireBatch(stream, table.slice(start, BATCH))


def plan(name: str, paths: Sequence[Path | str], options: Options, *, begin: bool = False) -> list[tuple[int, Member]]:
    """The files to read, each with the due time (microseconds) at which it begins. Files without a record are last.
    A single file is only looked into if its `begin` is asked for."""
    suffixes, read = reader(name, options)
    found = list(members([Path(p) for p in paths], suffixes))
    if len(found) == 1 and not begin:
        return [(0, found[0])]
    return [(_begin(read, member, options), member) for member in found]


def _begin(read: Read, member: Member, options: Options) -> int:
    for rows in read(member, options, Faults()):
        if len(rows.table):
            return int(micros(rows.table.select(["_due"]).rename_columns(["due"])).min())
    return 2**62


def play(
    name: str, files: Sequence[tuple[int, Member]], options: Options, faults: Faults, how: Play
) -> Iterator[dict[str, pa.Table]]:
    """Read the planned files once, merged by due time: a sorted table of records a stream and step."""
    _, read = reader(name, options)

    def opener(member: Member) -> Callable[[], Iterator[Batch]]:
        return lambda: _encoded(name, read(member, options, faults), how)

    return merged([Source(begin, opener(member)) for begin, member in files], faults)


def _encoded(name: str, batches: Iterator[Rows], how: Play) -> Iterator[Batch]:
    for rows in batches:
        if len(rows.table):
            yield rows.stream, records(name, rows, how)
