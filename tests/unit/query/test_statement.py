"""What may run, and which snapshot it names."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watling.query.errors import QueryError
from watling.query.statement import Moment, parse_time, read_statement

TABLES = ["vehicle", "gps", "quarantine"]


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("select * from vehicle", {"vehicle"}),
        ('from VEHICLE join main."Gps" using (id)', {"vehicle", "gps"}),
        ("with v as (table vehicle) select * from v", {"vehicle"}),
        ("describe gps", {"gps"}),
        ("summarize gps", {"gps"}),
        ("show tables", set()),
        ("values (1)", set()),
        ("explain analyze select 'vehicle' -- gps", set()),
        ("pivot vehicle on make in ('a') using count(*)", {"vehicle"}),
        ("select 1;", set()),
    ],
)
def test_reading_is_allowed_and_names_its_tables(text: str, tables: set[str]) -> None:
    """A table that is not found in the text would be missing in the query."""
    assert read_statement(text, TABLES).tables == tables


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("select id from vehicle at (version => 12)", 'select id from "vehicle at 12" AS "vehicle" '),
        ("from vehicle AT (VERSION => 12) v where 'ő' = v.id", "from \"vehicle at 12\" v where 'ő' = v.id"),
        ("select 'ő', * from \"Vehicle\" at (version=>12) as v", "select 'ő', * from \"vehicle at 12\" as v"),
        ("from vehicle at (version => 12), gps", 'from "vehicle at 12" AS "vehicle" , gps'),
        ("select 'vehicle at (version => 12)'", "select 'vehicle at (version => 12)'"),
    ],
)
def test_a_choice_of_snapshot_becomes_a_view(text: str, sql: str) -> None:
    """A choice that is overlooked or replaced in the wrong place answers with the wrong rows."""
    statement = read_statement(text, TABLES)
    assert " ".join(statement.sql.split()) == " ".join(sql.split())
    if statement.moments:
        assert statement.moments == {"vehicle at 12": ("vehicle", Moment(snapshot=12))}


def test_times_are_utc_unless_they_say() -> None:
    """An hour of summer time is an hour of other rows."""
    assert parse_time("2026-07-01T10:00:00+01:00") == datetime(2026, 7, 1, 9, tzinfo=UTC)
    assert parse_time("2026-07-01 10:00") == datetime(2026, 7, 1, 10, tzinfo=UTC)
    with pytest.raises(QueryError, match="not a time"):
        parse_time("yesterday")
    statement = read_statement("from gps at (timestamp => timestamp '2026-07-01')", TABLES)
    assert [m for _, m in statement.moments.values()] == [Moment(time=datetime(2026, 7, 1, tzinfo=UTC))]


@pytest.mark.parametrize(
    "text",
    [
        "from vehicle at (version => 'x')",
        "from vehicle at (version => -1)",
        "from vehicle at ()",
        "from vehicle at (now())",
        "from nosuch at (version => 1)",
        "from vehicle at (version => 1",
    ],
)
def test_a_choice_that_cannot_be_read_is_refused(text: str) -> None:
    """It must never be taken for the newest."""
    with pytest.raises(QueryError):
        read_statement(text, TABLES)


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            ["vehicle", "at", "(", "version", "=>", "1", ")", ";", "'", '"', "explain", "select", "--", "\n", "é"]
        )
    ).map(" ".join)
)
def test_any_text_gives_a_statement_or_one_line(text: str) -> None:
    """No text that a person may type ends in a traceback."""
    said = ""
    try:
        statement = read_statement(text, TABLES)
    except QueryError as error:
        said = error.message
    else:
        assert duckdb.extract_statements(statement.sql)
    assert "\n" not in said
