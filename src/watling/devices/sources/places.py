"""Receives lists of cameras or sites; gives the position of each by its id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, parse

from watling.devices.sources import columns, table
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import Member, members
from watling.devices.sources.rows import JSON, SourceError

Places = dict[str, tuple[float, float]]
MAX_XML = 64 * 1024 * 1024


def load(member: Member, option: str | None, pattern: str, id_names: Sequence[str]) -> Places:
    """Positions (latitude, longitude) from the list named by an option, or from the first file beside `member` that
    matches `pattern`. Empty if there is none.

    Raises:
        SourceError: the list named by the option cannot be read, or has no positions.
    """
    if option is not None:
        found = _read(Path(option), id_names)
        if not found:
            raise SourceError(f"{option}: no positions in it. Give a CSV with {id_names[0]}, lat and lon.", path=option)
        return found
    beside = sorted(member.path.parent.glob(pattern)) if member.path.exists() else []
    return _read(beside[0], id_names) if beside else {}


def _read(path: Path, id_names: Sequence[str]) -> Places:
    if path.suffix.lower() == ".xml":
        return _xml(path)
    places: Places = {}
    for member in members([path], (".csv", ".txt")):
        names = table.header(member)
        lower = {n.lower(): n for n in names}
        chosen = [
            next((lower[c] for c in options if c in lower), "")
            for options in (id_names, ("lat", "latitude", "stop_lat"), ("lon", "lng", "longitude", "stop_lon"))
        ]
        if not all(chosen):
            continue
        for block in table.read(member, Faults(), wanted=chosen):
            ids, lat, lon = block.column(chosen[0]), *(columns.numbers(block.column(c)) for c in chosen[1:])
            for key, y, x in zip(ids.to_pylist(), lat.to_pylist(), lon.to_pylist(), strict=True):
                if key is not None and y is not None and x is not None:
                    places[key] = (y, x)
    return places


def _xml(path: Path) -> Places:
    """TfL's camera list: `<camera id="00001.01445">` with `<lat>` and `<lng>`; JamCam ids begin with `JamCams_`."""
    try:
        if path.stat().st_size > MAX_XML:
            raise SourceError(
                f"{path}: larger than {MAX_XML // 1024 // 1024} MiB: not a list of cameras.", path=str(path)
            )
        root = parse(path, forbid_dtd=True).getroot()
    except (OSError, ParseError, DefusedXmlException) as error:
        raise SourceError(f"{path}: the list of cameras cannot be read: {error}", path=str(path)) from None
    places: Places = {}
    for camera in root.iter("camera"):
        key, lat, lng = camera.get("id"), camera.findtext("lat"), camera.findtext("lng")
        try:
            places[f"JamCams_{key}"] = (float(lat), float(lng))
        except (TypeError, ValueError):
            continue
    return places


def location(ids: pa.Array, places: Places) -> tuple[columns.Field, int]:
    """The wire's location of each id, and how many have none."""
    codes = pc.dictionary_encode(ids)
    pairs = [places.get(name) for name in codes.dictionary.to_pylist()]
    texts = pa.array([None if p is None else f"[{p[0]!r},{p[1]!r}]" for p in pairs], pa.string())
    found = pa.DictionaryArray.from_arrays(codes.indices, texts).cast(pa.string())
    if found.null_count == len(found):
        return None, len(found)
    return (found, JSON), found.null_count
