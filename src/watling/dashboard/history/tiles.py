"""Receives YAML files of tiles, the page's own and the user's; gives the tiles in order, and what is wrong with a file."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from watling.query.errors import QueryError
from watling.query.statement import read_statement

BUILTIN = Path(__file__).with_name("tiles.yaml")
MAX_FILE_BYTES = 1_000_000
MAX_TILES = 200
EACH = "entry"
"""Under this name a tile with `each` reads one stream after the other."""

Kind = Literal["kpi", "bars", "pie", "line", "histogram", "table"]


class Layout(BaseModel):
    """Size in a grid of 12 columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    w: int = Field(6, ge=1, le=12)
    h: int = Field(4, ge=1, le=12)


class Tile(BaseModel):
    """One tile as its file says it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    title: str = Field(min_length=1, max_length=120)
    kind: Kind
    streams: tuple[str, ...] | Literal["all"] = Field(description="streams that the SQL reads")
    sql: str = Field(min_length=1, max_length=20_000)
    each: bool = Field(False, description="run the SQL once a stream, which it calls `entry`; rows are joined")
    newest: int | None = Field(
        None, ge=1, le=2000, description="the SQL gives the newest rows, so many: older ones need not be read"
    )
    unit: str | None = Field(None, max_length=40)
    units: dict[str, str] = Field(default_factory=dict, description="unit of an answer's column")
    by: str | None = Field(None, max_length=80, description="column whose value a click filters by")
    x: str | None = Field(None, max_length=80, description="column of the labels or of time")
    y: str | None = Field(None, max_length=80, description="column that is drawn, where not all should be")
    series: str | None = Field(None, max_length=80, description="column that splits the rows into series")
    layout: Layout = Layout()
    order: float | None = Field(None, description="place among the tiles; default as in the file")
    hide: bool = False

    @field_validator("streams")
    @classmethod
    def _some(cls, value: tuple[str, ...] | str) -> tuple[str, ...] | str:
        if not value:
            raise ValueError("name one stream at least, or write: all")
        return value

    def reads(self, contracts: Sequence[str]) -> tuple[str, ...]:
        """Names of the streams that the tile reads."""
        return tuple(contracts) if self.streams == "all" else tuple(self.streams)


@dataclass(frozen=True, slots=True)
class Tiles:
    """Tiles by id, in order, and a sentence for everything that could not be used."""

    tiles: Mapping[str, Tile]
    problems: tuple[str, ...]


class TileFiles:
    """The page's tiles with the user's over them, read again when the user's file changes. Safe in several threads."""

    def __init__(self, own: Path, contracts: Mapping[str, Any]) -> None:
        self._own = own
        self._contracts = tuple(contracts)
        self._lock = threading.Lock()
        self._builtin = _entries(BUILTIN)
        self._seen: tuple[int, int] | None = None
        self._good: list[dict[str, Any]] = []
        self._now = self._laid([], ())

    def read(self) -> Tiles:
        """The tiles as of now. Where the user's file is bad, what it said before it was stays."""
        with self._lock:
            mark = self._mark()
            if mark != self._seen:
                self._seen = mark
                self._now = self._read_own() if mark is not None else self._laid([], ())
            return self._now

    def _mark(self) -> tuple[int, int] | None:
        try:
            status = self._own.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def _read_own(self) -> Tiles:
        try:
            entries = _entries(self._own)
            laid = self._laid(entries, ())
        except (OSError, ValueError, YAMLError) as error:
            return self._laid(self._good, (f"{self._own.name}: {_sentence(error)}; what it said before is shown",))
        self._good = entries
        return laid

    def _laid(self, entries: list[dict[str, Any]], problems: tuple[str, ...]) -> Tiles:
        """The builtin entries with these over them.

        Raises:
            ValueError: an entry is no tile.
        """
        merged: dict[str, dict[str, Any]] = {e["id"]: e for e in self._builtin}
        for entry in entries:
            name = entry.get("id")
            if not isinstance(name, str):
                raise ValueError("an entry of `tiles` has no `id`")
            merged[name] = {**merged.get(name, {}), **entry}
        if len(merged) > MAX_TILES:
            raise ValueError(f"more than {MAX_TILES} tiles")
        placed = []
        for position, entry in enumerate(merged.values()):
            tile = self._checked(entry)
            unknown = [s for s in tile.reads(self._contracts) if s not in self._contracts]
            if unknown and entry not in self._builtin:
                raise ValueError(f"tile {tile.id}: there is no stream {unknown[0]}")
            if not tile.hide and not unknown:
                placed.append((tile.order if tile.order is not None else float(position), position, tile))
        return Tiles({t.id: t for _, _, t in sorted(placed, key=lambda p: p[:2])}, problems)

    def _checked(self, entry: dict[str, Any]) -> Tile:
        try:
            tile = Tile.model_validate(entry)
            read_statement(tile.sql, self._contracts)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(p) for p in first["loc"])
            raise ValueError(f"tile {entry.get('id')}: {where}: {first['msg']}") from None
        except QueryError as error:
            raise ValueError(f"tile {entry.get('id')}: sql: {error.message}") from None
        return tile


def _entries(path: Path) -> list[dict[str, Any]]:
    """The entries of a file.

    Raises:
        ValueError, YAMLError, OSError: it cannot be read as a list of tiles.
    """
    with path.open("rb") as stream:
        text = stream.read(MAX_FILE_BYTES + 1)
    if len(text) > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
    document = YAML(typ="safe", pure=True).load(StringIO(text.decode()))
    entries = document.get("tiles") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise ValueError("must have `tiles:` with a list of tiles")
    return entries


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
