"""Receives nothing; gives the frozen shape of a contract to every room.

A contract says what an event is: its columns, where on the wire each comes from, and what it must satisfy.
It is read from one Open Data Contract Standard document (`odcs.py`) and is never changed after that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

ColumnType = Literal["string", "int", "long", "double", "boolean", "timestamp"]
"""Types of a column. `timestamp` is UTC with microseconds. Widening allowed later: int -> long."""

Part = Literal["latitude", "longitude"]


class Reason(StrEnum):
    """Why a record is in quarantine. The values are part of the lake's format."""

    NOT_JSON = "not_json"
    NOT_UTF8 = "not_utf8"
    NOT_OBJECT = "not_object"
    EMPTY = "empty"
    TOMBSTONE = "tombstone"
    MISSING = "missing"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    NOT_ALLOWED = "not_allowed"
    TOO_LARGE = "too_large"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Wire:
    """One place on the wire that a column may come from.

    `name` is a top-level key of the JSON object. With `part` the value is a position (`[lat, lon]`,
    `{"latitude":…,"longitude":…}` or the string `"(lat, lon)"`) and the column takes that part of it.
    A number read here is multiplied by `scale` and then `offset` is added (unit conversion).
    """

    name: str
    part: Part | None = None
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a stream's table.

    `wires` are tried in order; the first that is present and not null wins. `unit` is a UCUM-like text.
    `minimum` and `maximum` are inclusive and in `unit`. `picture` marks a column that may hold an image.
    `derived` columns (h3) are computed and have no wires.
    """

    name: str
    field_id: int
    type: ColumnType
    wires: tuple[Wire, ...] = ()
    required: bool = False
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] | None = None
    max_length: int | None = None
    personal: bool = False
    picture: bool = False
    derived: bool = False
    description: str = ""
    examples: tuple[str | float | bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """What one stream's events are. `name` is the stream's and the table's name.

    `key` is the column whose wire value is the Kafka key. Times and windows are in seconds.
    Event time must lie within `event_time_min` (ISO 8601) and record time + `event_time_ahead_s`.
    """

    name: str
    version: str
    topic: str
    fields: tuple[Field, ...]
    key: str = "vehicle_id"
    id_column: str = "id"
    time_column: str = "event_time"
    dedup_window_s: int = 3600
    event_time_min: str = "2000-01-01T00:00:00Z"
    event_time_ahead_s: int = 86400
    h3_resolution: int = 9
    max_record_bytes: int = 16 * 1024 * 1024
    sort: tuple[str, ...] = ("vehicle_id", "event_time")
    description: str = ""
    source: str = ""  # file it was read from, for messages
    ids_assigned: bool = False  # the file gave no field ids: positions stand in, a table that exists keeps its own

    def field(self, name: str) -> Field:
        """The column of that name. Raises KeyError."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    @property
    def wire_names(self) -> tuple[str, ...]:
        """All top-level wire keys that some column reads, each once, in contract order."""
        return tuple(dict.fromkeys(w.name for f in self.fields for w in f.wires))


# Columns every stream's table carries after the contract's own, with field ids no contract may use.
PROVENANCE: tuple[Field, ...] = (
    Field(
        "_kafka_generation",
        901,
        "int",
        required=True,
        description="Generation of the topic: 0, then 1 more for each time it was made again and accepted",
    ),
    Field("_kafka_partition", 902, "int", required=True, description="Kafka partition the record was read from"),
    Field("_kafka_offset", 903, "long", required=True, description="Kafka offset of the record"),
    Field("_ingested_at", 904, "timestamp", required=True, description="The Kafka record's timestamp"),
    Field("_replay_id", 905, "string", description="Set on rows that quarantine replay landed"),
)
"""Where each row came from; what makes the lake auditable."""

FIRST_RESERVED_FIELD_ID = 900  # contracts use 1 to 899; partition fields begin at 1000
