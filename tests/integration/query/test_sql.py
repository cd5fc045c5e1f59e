"""SQL over a real lake: right rows, nothing but rows, and one clear line where it cannot be."""

from __future__ import annotations

import io
import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.small_lake import SmallLake
from watling.contracts.model import Field, Wire
from watling.lake.tables import ensure_stream_table
from watling.query.errors import QueryCancelled, QueryError, QueryTimeout
from watling.query.formats import write
from watling.query.sql import LakeSql, Limits, open_lake
from watling.query.statement import Moment

pytestmark = pytest.mark.integration


@pytest.fixture
def lake(tmp_path: Path) -> SmallLake:
    return SmallLake(tmp_path / "a home", ("vehicle", "gps"))


@pytest.fixture
def sql(lake: SmallLake) -> LakeSql:
    return open_lake(lake.settings, lake.catalog)


def one(sql: LakeSql, text: str, **more: object) -> object:
    (row,) = sql.execute(text, **more).rows.to_pylist()  # type: ignore[arg-type]
    return next(iter(row.values()))


def test_rows_are_those_of_the_table(lake: SmallLake, sql: LakeSql) -> None:
    """A number on a report must be the number in the lake, also right after a commit."""
    lake.land("vehicle", 0, 10, 3)
    assert one(sql, "select count(*) from vehicle") == 10
    lake.land("vehicle", 13, 5)
    assert one(sql, "select count(*) from vehicle") == 15
    assert one(sql, "select count(*) from quarantine where stream = 'vehicle'") == 3
    joined = 'select count(*) from "Vehicle" v join main.quarantine q using (_kafka_partition)'
    assert one(sql, joined) == 45
    got = sql.execute("select id, event_time, latitude from vehicle order by _kafka_offset limit 1").rows.to_pylist()
    assert got == [{"id": "id-0-0", "event_time": datetime(2026, 3, 1, 12, tzinfo=UTC), "latitude": 51.5}]


def test_a_table_without_rows_has_its_columns(lake: SmallLake, sql: LakeSql) -> None:
    """Before the first record a dashboard must show nothing, not an error."""
    ensure_stream_table(lake.catalog, lake.settings, lake.contracts["weather"])  # no snapshot at all
    for table in ("gps", "weather", "quarantine"):
        answer = sql.execute(f"select * from {table}")
        loaded = lake.catalog.load_table((lake.settings.lake.namespace, table))
        assert answer.rows.num_rows == 0
        assert answer.rows.column_names == [f.name for f in loaded.schema().fields]


def test_old_rows_of_an_evolved_table_read_null(lake: SmallLake, sql: LakeSql) -> None:
    """A new optional field of a contract must not make the past unreadable or shift its columns."""
    lake.land("vehicle", 0, 4)
    old = lake.contracts["vehicle"]
    more = Field("battery_pct", 200, "double", (Wire("battery"),))
    lake.begin(replace(old, version="2.0.0", fields=(*old.fields, more)))
    lake.land("vehicle", 4, 2, columns={"battery_pct": 80.0})
    rows = sql.execute("select _kafka_offset, vehicle_id, battery_pct from vehicle order by 1").rows.to_pylist()
    assert [r["battery_pct"] for r in rows] == [None] * 4 + [80.0] * 2
    assert {r["vehicle_id"] for r in rows} == {"v"}


def test_a_snapshot_is_chosen_by_id_time_or_in_the_text(lake: SmallLake, sql: LakeSql) -> None:
    """A report of last week must be repeatable."""
    before = datetime.now(UTC)
    lake.land("vehicle", 0, 10)
    first = lake.committer.table("vehicle").current_snapshot()
    assert first is not None
    time.sleep(0.01)
    lake.land("gps", 0, 7)
    lake.land("vehicle", 10, 10)
    query = "select (select count(*) from vehicle) * 100 + (select count(*) from gps)"
    assert one(sql, query) == 2007
    assert one(sql, query, moment=Moment(snapshot=first.snapshot_id)) == 1000
    at = datetime.fromtimestamp(first.timestamp_ms / 1000, UTC)
    assert one(sql, query, moment=Moment(time=at)) == 1000
    assert one(sql, "select count(*) from vehicle", moment=Moment(time=before.replace(year=2020))) == 0
    assert one(sql, f"select count(*) from vehicle AT (VERSION => {first.snapshot_id})") == 10
    text = f"""select new.n - old.n as "é" from (select count(*) n from vehicle) new,
        (select count(vehicle.id) n from vehicle at (timestamp => '{at.isoformat()}')) as old -- at (version => 1)"""
    assert one(sql, text) == 10
    with pytest.raises(QueryError, match="no table of this query has a snapshot 42"):
        sql.execute("select 1 from vehicle", moment=Moment(snapshot=42))
    with pytest.raises(QueryError, match="after AT write"):
        sql.execute("select 1 from vehicle at (now())")


def test_an_expired_time_is_said(lake: SmallLake, sql: LakeSql) -> None:
    """A time before the oldest kept snapshot must not be answered with an empty table."""
    lake.land("vehicle", 0, 10)
    lake.land("vehicle", 10, 10)
    table = lake.committer.table("vehicle")
    table.refresh()
    parents = [s.snapshot_id for s in table.snapshots() if s.snapshot_id != table.metadata.current_snapshot_id]
    table.maintenance.expire_snapshots().by_ids(parents).commit()
    with pytest.raises(QueryError, match="oldest is of"):
        sql.execute("select * from vehicle", moment=Moment(time=datetime(2026, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("drop table vehicle", "only reads"),
        ("insert into vehicle select * from vehicle", "only reads"),
        ("copy vehicle to 'x.parquet'", "only reads"),
        ("create table x as select 1", "only reads"),
        ("set threads = 8", "only reads"),
        ("attach 'x.db'", "only reads"),
        ("load httpfs", "only reads"),
        ("install httpfs", "only reads"),
        ("call pragma_version()", "only reads"),
        ("explain analyze create table x as select 1", "only reads"),
        ("/* a */ explain (format json) delete from vehicle", "only reads"),
        ("select 1; drop view vehicle", "one statement"),
        ("", "no SQL statement"),
        ("-- nothing", "no SQL statement"),
        ("selec 1", "syntax error"),
        ("select nosuch from vehicle", "nosuch"),
        ("select * from nosuch", "there is no table nosuch. Tables: gps, quarantine, vehicle"),
        ("select * from '/etc/passwd'", "no table"),
        ("from read_text('/etc/passwd')", "nothing else"),
        ("from read_csv('https://example.com/x.csv')", "nothing else"),
        ("from glob('/*')", "nothing else"),
        ("from iceberg_scan('/somewhere/else')", "nothing else"),
        ("select getenv('HOME')", "getenv"),
        ("select * from query('drop view vehicle')", "query() is not possible"),
        ("from duckdb_secrets()", "duckdb_secrets() is not possible"),
        ('select * from "DuckDB_Secrets" ()', "duckdb_secrets() is not possible"),
        ("from main.duckdb_secrets/* x */()", "duckdb_secrets() is not possible"),
        ("from which_secret('s3://lake/', 's3')", "which_secret() is not possible"),
    ],
)
def test_what_is_not_reading_the_lake_is_one_clear_line(lake: SmallLake, sql: LakeSql, text: str, says: str) -> None:
    """SQL must neither change the lake nor show the machine's files; the user must see why, without a traceback."""
    with pytest.raises(QueryError) as caught:
        sql.execute(text)
    assert says in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


def test_the_catalog_beside_the_tables_stays_closed(lake: SmallLake, sql: LakeSql) -> None:
    """The catalog's database is not a table; SQL has no business in it."""
    with pytest.raises(QueryError, match="nothing else"):
        sql.execute(f"from read_blob('{lake.settings.home}/lake/catalog.db')")
    with pytest.raises(QueryError, match="nothing else"):
        sql.execute(f"from read_blob('{lake.committer.table('vehicle').location()}/../../catalog.db')")


def test_variables_of_the_program_are_not_tables(sql: LakeSql) -> None:
    """DuckDB would read Python variables by their names."""
    secret = pa.table({"a": [1]})
    assert secret is not None
    with pytest.raises(QueryError, match="no table secret"):
        sql.execute("select * from secret")


def test_rows_are_cut_and_it_is_said(lake: SmallLake, sql: LakeSql) -> None:
    """A page that shows the first rows must know that there are more."""
    lake.land("vehicle", 0, 50)
    answer = sql.execute("select * from vehicle", Limits(max_rows=20))
    assert (answer.rows.num_rows, answer.cut) == (20, True)
    assert not sql.execute("select * from vehicle", Limits(max_rows=50)).cut
    assert sql.execute("select repeat('x', 1000) from range(1000000)", Limits(max_bytes=1 << 20)).cut


def test_a_long_query_is_stopped_in_time(sql: LakeSql) -> None:
    """One careless query must not hold the machine."""
    begun = time.monotonic()
    with pytest.raises(QueryTimeout, match=r"longer than 0\.5 s"):
        sql.execute("select count(*) from range(1000000000000)", Limits(timeout_s=0.5))
    assert time.monotonic() - begun < 5
    assert one(sql, "select 1") == 1


@pytest.mark.parametrize("how", ["cancel", "interrupt"])
def test_a_query_can_be_stopped(sql: LakeSql, how: str) -> None:
    """Closing the page must end its query."""
    cancel = threading.Event()
    threading.Timer(1.5, cancel.set if how == "cancel" else sql.interrupt).start()
    with pytest.raises(QueryCancelled):
        sql.execute("select count(*) from range(1000000000000)", Limits(timeout_s=20), cancel=cancel)


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A query larger than its memory must spill or end, not take the machine with it."""
    small = SmallLake(tmp_path / "home", query={"memory_mb": 64, "threads": 1})
    sql = open_lake(small.settings, small.catalog)
    assert one(sql, "select count(*) from (select * from range(5000000) t(i) order by hash(i))") == 5_000_000
    with pytest.raises(QueryError, match=r"memory|MB"):
        sql.execute("select list(hash(i)::varchar) from range(100000000) t(i)")


def test_two_at_once_do_not_see_each_others_snapshot(lake: SmallLake, sql: LakeSql) -> None:
    """Two viewers of the page, one in the past and one live."""
    lake.land("vehicle", 0, 10)
    old = lake.committer.table("vehicle").current_snapshot()
    assert old is not None
    lake.land("vehicle", 10, 10)
    wrong: list[object] = []

    def ask(moment: Moment, expected: int) -> None:
        for _ in range(10):
            if (count := one(sql, "select count(*) from vehicle", moment=moment)) != expected:
                wrong.append(count)

    threads = [
        threading.Thread(target=ask, args=(m, n)) for m, n in ((Moment(), 20), (Moment(snapshot=old.snapshot_id), 10))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_a_lake_by_configuration(tmp_path: Path) -> None:
    """A warehouse given as a file:// address is the same lake."""
    (tmp_path / "a store").mkdir()
    catalog = {"type": "sql", "uri": f"sqlite:///{tmp_path}/other.db", "warehouse": f"file://{tmp_path}/a store"}
    other = SmallLake(tmp_path / "home", lake={"catalog": catalog})
    other.land("vehicle", 0, 10, 1)
    sql = open_lake(other.settings)
    assert one(sql, "select count(*) from vehicle") == 10
    assert one(sql, "select count(*) from quarantine") == 1


def test_an_empty_lake_says_what_to_do(tmp_path: Path) -> None:
    """The first thing a new user types."""
    from watling.config import load_settings

    with pytest.raises(QueryError, match="watling up"):
        open_lake(load_settings(home=tmp_path)).execute("select * from vehicle")


def test_many_metadata_files_stay_quick(lake: SmallLake, sql: LakeSql) -> None:
    """An hour of commits every second must not make a query slow."""
    for i in range(60):
        lake.land("vehicle", i * 2, 2)
    begun = time.monotonic()
    assert one(sql, "select count(*) from vehicle") == 120
    assert time.monotonic() - begun < 3


def test_formats_of_a_real_answer(lake: SmallLake, sql: LakeSql) -> None:
    """What scripts read must be what the lake holds."""
    lake.land("vehicle", 0, 2, 1, columns={"speed_kmh": 12.5})
    rows = sql.execute("select * from vehicle order by _kafka_offset").rows
    out = io.BytesIO()
    write(rows, "json", out)
    body = json.loads(out.getvalue())
    assert (body[1]["id"], body[1]["event_time"], body[1]["speed_kmh"], body[1]["make"]) == (
        "id-0-1",
        "2026-03-01T12:01:00Z",
        12.5,
        None,
    )
    out = io.BytesIO()
    write(sql.execute("select raw, quarantined_at from quarantine").rows, "json", out)
    assert json.loads(out.getvalue())[0]["raw"] == '{"a":"é"'
    out = io.BytesIO()
    write(rows, "parquet", out)
    assert pq.read_table(io.BytesIO(out.getvalue())).num_rows == 2
