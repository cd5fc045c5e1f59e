"""Receives SIRI Vehicle Monitoring documents (XML); gives vehicle and gps rows.

The document is streamed: one VehicleActivity at a time is held. Document types, entities and external references are
refused (defusedxml), and depth, text and tag lengths are bounded. Behind a place that is no XML, reading goes on with
the next VehicleActivity. `Velocity` is not read: feeds disagree on its unit. Standard: CEN EN 15531-3, SIRI 2.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import ParseError

import pyarrow as pa
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from watling.devices.sources import columns
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import BROKEN, Member
from watling.devices.sources.fleet import Fleet
from watling.devices.sources.rows import Options, Rows

SUFFIXES = (".xml", ".siri")
CHUNK = 64 * 1024
MAX_DEPTH = 64
MAX_TEXT = 64 * 1024
MAX_SILENT = 4 * 1024 * 1024  # bytes without a single tag
BATCH = 8_192
READ = (
    "RecordedAtTime",
    "VehicleLocation/Latitude",
    "VehicleLocation/Longitude",
    "Bearing",
    "PublishedLineName",
    "LineRef",
    "DatedVehicleJourneyRef",
    "VehicleJourneyRef",
)
_ACTIVITY = re.compile(rb"<(?:(\w+):)?VehicleActivity[\s>]")


class _Bounds(ValueError):
    """A document that is deeper or longer than any real one."""


class _Target:
    """What the parser tells: collects one activity at a time into `found`, with the line where it begins."""

    def __init__(self, before: int) -> None:
        self.before = before  # lines before the parser's first
        self.path: list[str] = []
        self.found: list[tuple[int, dict[str, str]]] = []
        self.current: dict[str, str] | None = None
        self.begin, self.published, self.events, self.line = 0, "", 0, 0
        self.parser: Any = None
        self._text: list[str] = []
        self._size = 0

    def start(self, tag: str, _attributes: list[str]) -> None:
        name = tag.rpartition("}")[2]
        self.path.append(name)
        self.events += 1
        self._text, self._size = [], 0
        if len(self.path) > MAX_DEPTH:
            raise _Bounds(f"elements nested deeper than {MAX_DEPTH}")
        if name == "VehicleActivity":
            self.current, self.begin = {}, self.before + int(self.parser.CurrentLineNumber)

    def data(self, text: str) -> None:
        self._size += len(text)
        if self._size > MAX_TEXT:
            raise _Bounds(f"a text of more than {MAX_TEXT // 1024} KiB")
        self._text.append(text)

    def end(self, _tag: str) -> None:
        name = self.path.pop()
        text = "".join(self._text).strip() if self._text else ""
        self._text, self._size = [], 0
        current = self.current
        if current is not None:
            if name == "VehicleActivity":
                self.found.append((self.begin, current))
                self.current = None
            elif text:
                current.setdefault(f"{self.path[-1]}/{name}" if self.path[-1] == "VehicleLocation" else name, text)
        elif name == "ResponseTimestamp" and not self.published:
            self.published = text

    def close(self) -> None:
        """Called by the parser at the end."""


def read(member: Member, options: Options, faults: Faults) -> Iterator[Rows]:
    """Yield rows of one document. Vehicle ids are `OperatorRef-VehicleRef`: the reference alone is only unique within
    an operator. Records are due at the document's ResponseTimestamp. `options.timezone` (default UTC) is for times
    without an offset."""
    batch = _Batch(options.timezone or "UTC")
    for line, published, activity in _activities(member, faults):
        batch.published = published
        if not batch.add(line, activity):
            faults.add(member.name, line, "no VehicleRef")
        if len(batch.lines) >= BATCH:
            yield from batch.rows(member.name, faults)
            batch = _Batch(options.timezone or "UTC")
    yield from batch.rows(member.name, faults)


def _activities(member: Member, faults: Faults) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Each activity with its line and the document's time."""
    try:
        with member.open() as stream:
            walk = _Walk()
            while chunk := stream.read(CHUNK):
                yield from walk.feed(member.name, chunk, faults)
                if walk.refused:
                    return
            walk.finish(member.name, faults)
    except BROKEN as error:
        faults.add(member.name, 0, f"the file cannot be read further: {error or type(error).__name__}")


class _Walk:
    """Feeds a parser; after a place that is no XML, a new one from the next activity on."""

    def __init__(self) -> None:
        self.refused = False
        self._published = ""
        self._lines = 0  # lines before this parser's first
        self._lost, self._resumed = False, False
        self._tail = b""
        self._begin(b"")

    def _begin(self, root: bytes) -> None:
        self._target = _Target(self._lines)
        self._parser = DefusedXMLParser(target=self._target, forbid_dtd=True)
        self._target.parser = expat = self._parser.parser  # its handlers against document types stay
        expat.StartElementHandler, expat.EndElementHandler = self._target.start, self._target.end
        expat.CharacterDataHandler, expat.DefaultHandlerExpand = self._target.data, None
        expat.ordered_attributes, expat.buffer_text = True, True
        self._root, self._fed, self._silent, self._seen = len(root), 0, 0, 0
        if root:
            self._parser.feed(root)

    def feed(self, file: str, chunk: bytes, faults: Faults) -> Iterator[tuple[int, str, dict[str, str]]]:
        while chunk:
            if self._lost:
                chunk = self._resume(chunk)
                continue
            try:
                self._parser.feed(chunk)
                rest = b""
            except DefusedXmlException as error:
                faults.add(file, self._line(), f"refused, as no SIRI document needs it: {error}")
                self.refused = True
                return
            except (ParseError, _Bounds) as error:
                rest = self._broken(file, chunk, error, faults)
            yield from self._taken()
            self._fed += len(chunk) - len(rest)
            self._silent = 0 if self._target.events > self._seen else self._silent + len(chunk)
            self._seen = self._target.events
            if self._silent > MAX_SILENT:
                faults.add(file, self._line(), "megabytes without a tag: not a SIRI document")
                self.refused = True
                return
            chunk = rest

    def _taken(self) -> Iterator[tuple[int, str, dict[str, str]]]:
        self._published = self._target.published or self._published
        found, self._target.found = self._target.found, []
        for line, activity in found:
            yield line, self._published, activity

    def _line(self) -> int:
        return self._lines + int(self._parser.parser.CurrentLineNumber)

    def _broken(self, file: str, chunk: bytes, error: Exception, faults: Faults) -> bytes:
        """Report, unless only the closing tags of a resumed document are left; give what follows the broken place."""
        line = self._line()
        if not self._resumed or self._target.current is not None or len(self._target.path) > 1:
            faults.add(
                file,
                self._target.begin if self._target.current is not None else line,
                f"no XML here: {error}",
            )
        at = max(0, int(self._parser.parser.CurrentByteIndex) - self._root - self._fed)
        self._lost = True
        self._lines = line - 1
        return chunk[min(at + 1, len(chunk)) :]

    def _resume(self, chunk: bytes) -> bytes:
        """Look for the next activity; what stands before it is passed over."""
        data = self._tail + chunk
        match = _ACTIVITY.search(data)
        if match is None:
            keep = data[-64:]
            self._lines += data.count(b"\n", 0, len(data) - len(keep))
            self._tail = keep
            return b""
        self._lines += data.count(b"\n", 0, match.start())
        self._tail, self._lost, self._resumed = b"", False, True
        prefix = match[1].decode() if match[1] else ""
        self._begin(f'<Siri xmlns{":" + prefix if prefix else ""}="http://www.siri.org.uk/siri">'.encode())
        return data[match.start() :]

    def finish(self, file: str, faults: Faults) -> None:
        if self._lost or self.refused:
            return
        if not self._target.events:
            faults.add(file, 0, "no SIRI document: there is no XML in it")
        elif self._target.current is not None or (self._target.path and not self._resumed):
            faults.add(file, self._line(), "the document ends too early")


class _Batch:
    """Texts of activities, turned into times and numbers together."""

    def __init__(self, zone: str) -> None:
        self.zone, self.published = zone, ""
        self.lines: list[int] = []
        self.vehicle: list[str] = []
        self.texts: dict[str, list[str | None]] = {name: [] for name in READ}

    def add(self, line: int, activity: dict[str, str]) -> bool:
        """Take an activity; False if it names no vehicle."""
        reference = activity.get("VehicleRef") or activity.get("VehicleUniqueId")
        if not reference:
            return False
        operator = activity.get("OperatorRef")
        self.lines.append(line)
        self.vehicle.append(f"{operator}-{reference}" if operator else reference)
        for name, texts in self.texts.items():
            texts.append(activity.get(name))
        return True

    def rows(self, file: str, faults: Faults) -> Iterator[Rows]:
        recorded = self._times(self.texts["RecordedAtTime"])
        published = self._times([self.published or None])[0]
        latitude, longitude, heading = (self._numbers(n) for n in READ[1:4])
        named, line, dated, journey = (self.texts[n] for n in READ[4:])
        fleet = Fleet()
        for i, own in enumerate(recorded):
            time = published if own is None else own
            if time is None:
                text = self.texts["RecordedAtTime"][i]
                faults.add(file, self.lines[i], f"RecordedAtTime {text!r} cannot be read, and the document has no time")
                continue
            fleet.due.append(time if published is None else published)
            fleet.time.append(time)
            fleet.own.append(own is not None)
            fleet.vehicle.append(self.vehicle[i])
            fleet.latitude.append(latitude[i])
            fleet.longitude.append(longitude[i])
            fleet.heading.append(heading[i])
            fleet.speed.append(None)
            fleet.route.append(named[i] or line[i])
            fleet.trip.append(dated[i] or journey[i])
        if len(fleet):
            yield from fleet.rows()

    def _times(self, texts: list[str | None]) -> list[int | None]:
        found = columns.instants(pa.array(texts, pa.string()), self.zone, Faults())
        return found.cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]

    def _numbers(self, name: str) -> list[float | None]:
        return columns.numbers(pa.array(self.texts[name], pa.string())).to_pylist()  # type: ignore[no-any-return]
