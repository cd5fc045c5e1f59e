"""Contracts that Hypothesis makes up: legal ones, of any size and shape that `read_contract` could give."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from watling.contracts import Contract, Field, Wire
from watling.contracts.names import column_fault

ID = Field("id", 1, "string", (Wire("id"),), required=True)
EVENT_TIME = Field("event_time", 2, "timestamp", (Wire("timestamp"),), required=True)

names = st.from_regex(r"[a-z][a-z0-9_]{0,15}", fullmatch=True).filter(
    lambda n: column_fault(n) is None and n not in ("id", "event_time", "latitude", "longitude", "h3")
)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=30)
keys = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)
numbers = st.floats(-1e9, 1e9, allow_nan=False).map(lambda x: round(x, 3))


@st.composite
def fields(draw: st.DrawFn, name: str, field_id: int) -> Field:
    kind = draw(st.sampled_from(["string", "int", "long", "double", "boolean", "timestamp"]))
    wire_names = draw(st.lists(keys, min_size=1, max_size=3, unique=True))
    numeric = kind in ("int", "long", "double")
    scale = draw(st.sampled_from([1.0, 1.609344, -2.0, 0.001])) if numeric else 1.0
    offset = draw(st.sampled_from([0.0, -273.15, 32.0])) if numeric else 0.0
    low, high = sorted((draw(numbers), draw(numbers)))
    return Field(
        name,
        field_id,
        kind,
        tuple(Wire(w, None, scale, offset) for w in wire_names),
        required=draw(st.booleans()),
        unit=draw(st.none() | st.sampled_from(["km/h", "%", "1/h"])),
        minimum=low if numeric and draw(st.booleans()) else None,
        maximum=high if numeric and draw(st.booleans()) else None,
        allowed=tuple(draw(st.lists(texts, min_size=1, max_size=3, unique=True)))
        if kind == "string" and draw(st.booleans())
        else None,
        max_length=draw(st.none() | st.integers(1, 100)) if kind == "string" else None,
        personal=draw(st.booleans()),
        description=draw(texts),
        examples=tuple(draw(st.lists(texts, max_size=2))) if kind == "string" else (),
    )


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    own = draw(st.lists(names, max_size=6, unique=True))
    ids = draw(st.lists(st.integers(3, 899), min_size=len(own), max_size=len(own), unique=True))
    columns = [draw(fields(name, field_id)) for name, field_id in zip(own, ids, strict=True)]
    contract = Contract(
        "made_up",
        "1.0.0",
        "made_up_data",
        (ID, EVENT_TIME, *columns),
        key="id",
        sort=("id", "event_time"),
        description=draw(texts),
    )
    return replace(contract, ids_assigned=draw(st.booleans()))
