"""Formats of query results."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from watling.query.formats import FORMATS, Format, write

ROWS = pa.table(
    {
        "text": ['a "quoted",\nline', None, ""],
        "number": [1.5, float("nan"), float("inf")],
        "when": pa.array([datetime(2026, 1, 1, 0, 0, 0, 5, tzinfo=UTC), None, None], pa.timestamp("us", "UTC")),
        "day": [date(2026, 1, 1), None, None],
        "bytes": [b"plain", b"\xff\x00", None],
        "large": pa.array([Decimal(2**70), None, None], pa.decimal128(38, 0)),
        "nested": [{"a": [1, 2]}, None, {"a": None}],
        "flag": [True, False, None],
    }
)


def text(form: Format, rows: pa.Table = ROWS, width: int = 0) -> str:
    out = io.BytesIO()
    write(rows, form, out, width)
    return out.getvalue().decode()


def test_json_is_an_array_of_objects() -> None:
    """Scripts parse it; NaN would make it no JSON at all."""
    first, second, third = json.loads(text("json"), parse_constant=lambda c: pytest.fail(c))
    assert first == {
        "text": 'a "quoted",\nline',
        "number": 1.5,
        "when": "2026-01-01T00:00:00.000005Z",
        "day": "2026-01-01",
        "bytes": "plain",
        "large": 2**70,
        "nested": {"a": [1, 2]},
        "flag": True,
    }
    assert (second["number"], third["number"], second["bytes"]) == (None, None, {"base64": "/wA="})


def test_csv_reads_back() -> None:
    """A spreadsheet must get the line break inside a field, and as many columns in each row."""
    header, first, second, third = list(csv.reader(io.StringIO(text("csv"))))
    assert header == ROWS.column_names
    assert first[0] == 'a "quoted",\nline'
    assert {len(r) for r in (header, first, second, third)} == {8}
    assert second[:3] == ["", "", ""]
    assert json.loads(first[6]) == {"a": [1, 2]}


def test_the_table_keeps_to_the_width() -> None:
    """A wide row must not wrap over the terminal, and control characters must not steer it."""
    lines = text("table", pa.table({"a": ["\x1b[31m" + "x" * 200], "b": [1]}), width=40).splitlines()
    assert max(map(len, lines)) <= 40
    assert "\x1b" not in lines[2]


def test_repeated_column_names_survive() -> None:
    """`select a.id, b.id` has two columns of one name."""
    rows = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["id", "id"])
    assert json.loads(text("json", rows)) == [{"id": 1, "id_2": 2}]
    assert text("csv", rows) == "id,id\n1,2\n"
    out = io.BytesIO()
    write(rows, "parquet", out)
    assert out.tell() > 0


@pytest.mark.parametrize("form", FORMATS)
def test_no_rows(form: Format) -> None:
    """An empty answer is an answer in every format."""
    out = io.BytesIO()
    write(ROWS.slice(0, 0), form, out)
    assert out.getvalue()
    if form == "json":
        assert json.loads(out.getvalue()) == []
