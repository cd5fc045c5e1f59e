"""Receives nothing; gives the shapes of the history routes' answers to FastAPI and to the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from watling.dashboard.history.tiles import Kind, Layout

ColumnKind = Literal["time", "number", "text", "boolean"]


class Refusal(BaseModel):
    """Why there is no answer, in a sentence."""

    detail: str


UNREADABLE: dict[int | str, dict[str, Any]] = {400: {"model": Refusal, "description": "The body is not text in UTF-8"}}
"""What each route with a body may answer."""


class TileShown(BaseModel):
    """A tile as the page lays it out."""

    id: str
    title: str
    kind: Kind
    stream: list[str] = Field(description="streams that the tile reads")
    unit: str | None
    by: str | None = Field(description="column whose value a click filters by")
    x: str | None = Field(description="column of the labels or of time")
    y: str | None = Field(description="column that is drawn; null: every number of a line, else the first")
    series: str | None = Field(description="column that splits the rows into series; null: each number is one")
    layout: Layout
    order: int


class TileList(BaseModel):
    """All tiles in order. `problems` says what of the user's file cannot be used."""

    tiles: list[TileShown]
    problems: list[str]


class Column(BaseModel):
    """A column of an answer. `time` is in ms since 1970."""

    name: str
    type: ColumnKind
    unit: str | None


class TileAnswer(BaseModel):
    """A tile's rows and what they rest on."""

    columns: list[Column]
    rows: list[list[Any]]
    cut: bool = Field(description="there were more rows than the limit lets through")
    as_of_ms: int | None = Field(description="newest event time that the lake holds in range")
    committed_ms: int | None = Field(description="when the streams last had rows appended")
    rows_seen: int = Field(description="rows of the streams that the filter let through")
    late: int | None = Field(description="of those, rows that reached Kafka more than a minute after their event")
    seconds: float
    streams: list[str] = Field(description="streams of the tile that have the columns that the filter asks about")
    applies: bool = Field(description="false: there is no such stream")


class Cells(BaseModel):
    """H3 cells, fullest first: [cell, rows, mean speed in km/h or null]. `resolution` may be coarser than asked."""

    resolution: int
    cells: list[tuple[str, int, float | None]]
    as_of_ms: int | None
    seconds: float


class Extent(BaseModel):
    """What the lake holds of a stream, from its metadata. Times are event times in ms since 1970."""

    first_ms: int | None
    last_ms: int | None
    rows: int


class Track(BaseModel):
    """Columns of equal length, oldest first. Degrees, km/h, degrees clockwise from north, ms since 1970."""

    event_ms: list[int]
    latitude: list[float | None]
    longitude: list[float | None]
    speed_kmh: list[float | None]
    heading_deg: list[float | None]
    stream: list[str]
    topic: list[str]
    partition: list[int]
    offset: list[int]


class VehicleHistory(BaseModel):
    """A vehicle's reports of the range, the newest where there are more than the limit (`cut`)."""

    vehicle_id: str
    columns: Track
    cut: bool
    seconds: float


class Record(BaseModel):
    """A landed row and the record it came from. `raw_state`: `kept` (raw is it), `cut` (raw is its beginning), `gone`
    (Kafka no longer has it), `unknown` (Kafka did not answer)."""

    stream: str
    topic: str
    partition: int
    offset: int
    row: dict[str, Any]
    raw: str | None
    raw_state: Literal["kept", "cut", "gone", "unknown"]


class Picture(BaseModel):
    """A camera's picture. `url` is on this page."""

    event_ms: int
    url: str
    bytes: int | None
    type: str | None
    cars: float | None
    trucks: float | None
    persons: float | None


class Pictures(BaseModel):
    """A camera's pictures, newest first."""

    camera_id: str
    pictures: list[Picture]


class PlacesThen(BaseModel):
    """Per stream of things that stand still the newest row of each, newest first: its columns that are known, `place`
    (its name), `event_ms` and `first_ms` (ms since 1970)."""

    at: int
    places: dict[str, list[dict[str, Any]]]


class Near(BaseModel):
    """What was within two kilometres, at its closest."""

    id: str
    stream: str
    event_ms: int
    latitude: float
    longitude: float
    distance_m: float
    type: str | None


class Surroundings(BaseModel):
    """What was near when the incident was first reported, give or take 15 minutes. Closest first."""

    vehicles: list[Near]
    cameras: list[Near]
    incidents: list[Near]


class Incident(BaseModel):
    """An incident's reports, oldest first, and what was near."""

    incident_id: str
    life: list[dict[str, Any]]
    near: Surroundings
