"""What the lake promises its writers and readers, over each kind of catalog."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from watling.config import Settings, load_settings
from watling.contracts import load_contracts
from watling.contracts.evolution import EvolutionError
from watling.contracts.model import Contract, Field, Wire
from watling.contracts.targets import arrow
from watling.lake.catalog import open_catalog
from watling.lake.commit import Batch, Committer, attempt, committed, replayed_since
from watling.lake.compact import compact
from watling.lake.errors import FencedError, StaleBatch, StateMissing
from watling.lake.expire import expire
from watling.lake.orphans import remove_orphan_files
from watling.lake.state import STATE, Generation, PartitionDelta, PartitionState, ancestors, read_state, summary_value
from watling.lake.tables import ensure_stream_table, load_table
from watling.lake.write import write_rows

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
VEHICLE = load_contracts(None)["vehicle"]


@pytest.fixture(params=["sqlite", "sql-by-configuration"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "sqlite":
        return load_settings(home=tmp_path / "a home")
    tmp_path.joinpath("store").mkdir()
    catalog = {
        "type": "sql",
        "uri": f"sqlite:///{tmp_path}/other.db",
        "warehouse": f"file://{tmp_path}/store",
    }
    return load_settings(home=tmp_path / "home", lake={"catalog": catalog})


@pytest.fixture
def catalog(settings: Settings) -> Catalog:
    return open_catalog(settings)


@pytest.mark.parametrize("by_configuration", [False, True])
def test_a_new_lake_is_opened_by_all_parts_at_once(tmp_path: Path, by_configuration: bool) -> None:
    """Pipeline and page of a fresh home start together: neither may die of the other's half-made catalog."""
    with ThreadPoolExecutor(4) as pool:
        for number in range(20):
            sql = {"type": "sql", "uri": f"sqlite:///{tmp_path / f'{number}.db'}", "warehouse": f"file://{tmp_path}"}
            settings = load_settings(home=tmp_path / str(number), lake={"catalog": sql if by_configuration else {}})
            together = threading.Barrier(4, timeout=20)

            def opened(settings: Settings = settings, together: threading.Barrier = together) -> Catalog:
                together.wait()
                return open_catalog(settings)

            for opening in [pool.submit(opened) for _ in range(4)]:
                assert opening.result().namespace_exists("watling")


Open = Callable[[str], Committer]


@pytest.fixture
def committer(catalog: Catalog, settings: Settings) -> Open:
    """Opens a committer that has claimed the vehicle stream, its topic begun at offset 0."""

    def make(name: str) -> Committer:
        made = Committer(catalog, settings, name, threading.Event())
        if not made.claim(VEHICLE).generations:
            begin = {0: Generation("vehicle_data", "id-of-topic", {0: PartitionState(0, 0)})}
            made.update_state("vehicle", lambda s: replace(s, generations=begin))
        return made

    return make


def rows(first: int, count: int, contract: Contract = VEHICLE, minutes: int = 1) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "id": f"id-{i}",
                "vehicle_id": f"v{i % 5}",
                "event_time": NOON + timedelta(minutes=minutes * i),
                "latitude": 51.5,
                "longitude": -0.1,
                "_kafka_generation": 0,
                "_kafka_partition": 0,
                "_kafka_offset": i,
                "_ingested_at": NOON,
            }
            for i in range(first, first + count)
        ],
        schema=arrow.compile(contract),
    )


def rejected(first: int, count: int) -> pa.Table:
    return pa.table(
        {
            "stream": ["vehicle"] * count,
            "topic": ["vehicle_data"] * count,
            "_kafka_generation": pa.array([0] * count, pa.int32()),
            "_kafka_partition": pa.array([0] * count, pa.int32()),
            "_kafka_offset": pa.array(range(first, first + count), pa.int64()),
            "record_time": pa.array([NOON] * count, pa.timestamp("us", "UTC")),
            "raw": pa.array([b"{"] * count, pa.large_binary()),
            "reason": ["not_json"] * count,
        }
    )


def batch(owner: Committer, first: int, good: int, bad: int = 0, **more: object) -> Batch:
    delta = PartitionDelta(first, first + good + bad, landed=good, quarantined=bad)
    files = write_rows(owner.table("vehicle"), rows(first, good)) if good else []
    return Batch("vehicle", 0, {0: delta}, files, rejected(first + good, bad) if bad else None, **more)  # type: ignore[arg-type]


def offsets(catalog: Catalog, settings: Settings, table: str = "vehicle") -> list[int]:
    loaded = load_table(catalog, settings, table)
    assert loaded is not None
    return sorted(loaded.scan(selected_fields=("_kafka_offset",)).to_arrow()["_kafka_offset"].to_pylist())


def test_offsets_travel_with_their_rows(catalog: Catalog, settings: Settings, committer: Open) -> None:
    """A restart that read another offset than the rows' would lose or double records."""
    owner = committer("a")
    assert not isinstance(owner.commit([batch(owner, 0, 10, 3)])["vehicle"], Exception)
    state = committer("b").state("vehicle")
    partition = state.generations[0].partitions[0]
    assert (partition.next, partition.landed, partition.quarantined) == (13, 10, 3)
    assert offsets(catalog, settings) == list(range(10))
    assert offsets(catalog, settings, "quarantine") == [10, 11, 12]


def test_a_late_writer_is_fenced_and_lands_nothing(catalog: Catalog, settings: Settings, committer: Open) -> None:
    """A process that wakes up after another took over must not add its rows a second time."""
    late = committer("late")
    prepared = batch(late, 0, 10, 2)
    new = committer("new")
    assert not isinstance(new.commit([batch(new, 0, 10, 2)])["vehicle"], Exception)
    result = late.commit([prepared])["vehicle"]
    assert isinstance(result, FencedError)
    assert "new" in result.message
    assert offsets(catalog, settings) == list(range(10))
    assert offsets(catalog, settings, "quarantine") == [10, 11]


def test_what_quarantine_holds_above_the_offset_is_settled(
    catalog: Catalog, settings: Settings, committer: Open
) -> None:
    """After a death between the two commits the restart must not quarantine those records again."""
    owner = committer("a")
    owner._commit_rejected([batch(owner, 0, 4, 3)], {})  # the stream's own commit never comes
    settled = committer("b").settled("vehicle")
    assert settled[0].offsets.tolist() == [4, 5, 6]


def test_commits_go_on_over_maintenance(catalog: Catalog, settings: Settings, committer: Open) -> None:
    """Compaction beside a running writer must neither stop it nor change a row or the offsets."""
    owner = committer("a")
    for i in range(12):
        owner.commit([batch(owner, 10 * i, 10)])
    other = load_table(catalog, settings, "vehicle")
    assert other is not None
    prepared = batch(owner, 120, 10)
    done = compact(other, 32 << 20, threading.Event())
    assert (done.files_before, done.rows) == (12, 120)
    assert done.files_after < 12
    assert not isinstance(owner.commit([prepared])["vehicle"], Exception)
    assert offsets(catalog, settings) == list(range(130))
    assert owner.state("vehicle").generations[0].partitions[0].next == 130


def test_compaction_gives_up_when_its_files_are_gone(catalog: Catalog, settings: Settings, committer: Open) -> None:
    """Two maintainers at once must not put the same rows in twice."""
    owner = committer("a")
    for i in range(10):
        owner.commit([batch(owner, 10 * i, 10)])
    first, second = load_table(catalog, settings, "vehicle"), load_table(catalog, settings, "vehicle")
    assert first is not None
    assert second is not None
    from watling.lake.compact import replace_files

    old = [t.file for t in second.scan().plan_files()]
    copies = write_rows(second, rows(0, 100))
    compact(first, 32 << 20, threading.Event())
    assert replace_files(second, old, copies, threading.Event()) is False
    assert offsets(catalog, settings) == list(range(100))


def test_a_foreign_commit_does_no_harm(catalog: Catalog, settings: Settings, committer: Open) -> None:
    """Another tool's commit has no state: the newest ancestor's counts."""
    owner = committer("a")
    owner.commit([batch(owner, 0, 10)])
    foreign = load_table(catalog, settings, "vehicle")
    assert foreign is not None
    foreign.append(rows(0, 0))
    assert not isinstance(owner.commit([batch(owner, 10, 10)])["vehicle"], Exception)
    assert committer("b").state("vehicle").generations[0].partitions[0].next == 20


def test_a_table_with_rows_and_no_state_is_refused(catalog: Catalog, settings: Settings, committer: Open) -> None:
    """Reading such a topic from the start would double every row."""
    table = ensure_stream_table(catalog, settings, VEHICLE)
    table.append(rows(0, 3))
    with pytest.raises(StateMissing, match="no Watling state"):
        committer("a")


def test_expiry_never_removes_the_only_state(catalog: Catalog, settings: Settings, committer: Open) -> None:
    """If the one snapshot with the offsets expired, the stream could never be resumed."""
    owner = committer("a")
    owner.commit([batch(owner, 0, 10)])
    foreign = load_table(catalog, settings, "vehicle")
    assert foreign is not None
    for _ in range(3):
        foreign.append(rows(0, 0))
    config = settings.lake.model_copy(update={"snapshots_kept": 1, "snapshot_age_hours": 0})
    assert expire(foreign, config).snapshots > 0
    foreign.refresh()
    assert any(summary_value(s, STATE) for s in foreign.metadata.snapshots)
    assert offsets(catalog, settings) == list(range(10))


def test_expiry_deletes_only_what_nothing_names(catalog: Catalog, settings: Settings, committer: Open) -> None:
    """A table whose live files were deleted would be lost; one that keeps all would fill the disk."""
    owner = committer("a")
    for i in range(10):
        owner.commit([batch(owner, 10 * i, 10)])
    table = load_table(catalog, settings, "vehicle")
    assert table is not None
    config = settings.lake.model_copy(update={"snapshots_kept": 2, "snapshot_age_hours": 0})
    assert expire(table, config).files > 0
    assert offsets(catalog, settings) == list(range(100))
    assert remove_orphan_files(table, age_s=-1) == 0  # nothing is left behind that nobody names
    assert offsets(catalog, settings) == list(range(100))


def test_orphans_go_and_young_files_stay(catalog: Catalog, settings: Settings, committer: Open) -> None:
    """A writer's uncommitted files must survive maintenance; those of a dead one must not stay for ever."""
    owner = committer("a")
    owner.commit([batch(owner, 0, 10)])
    write_rows(owner.table("vehicle"), rows(10, 10))
    table = load_table(catalog, settings, "vehicle")
    assert table is not None
    assert remove_orphan_files(table, age_s=3600) == 0
    assert remove_orphan_files(table, age_s=-1) == 1
    assert offsets(catalog, settings) == list(range(10))


def test_a_batch_that_waited_too_long_may_not_commit(settings: Settings, committer: Open) -> None:
    """Its data files may have been removed as orphans: the snapshot would name files that are not there."""
    owner = committer("a")
    old = batch(owner, 0, 10, created=0.0)
    assert isinstance(owner.commit([old])["vehicle"], StaleBatch)


def test_an_attempt_whose_answer_was_lost_is_not_repeated(
    catalog: Catalog, settings: Settings, committer: Open
) -> None:
    """The catalog may commit and its answer be lost: a second commit would double the rows."""
    owner = committer("a")
    table = owner.table("vehicle")
    files = write_rows(table, rows(0, 5))
    real, tries = table._do_commit, 0

    def loses_its_answer(*args: object, **kwargs: object) -> None:
        nonlocal tries
        tries += 1
        real(*args, **kwargs)  # type: ignore[arg-type]
        raise OSError("connection reset")

    table._do_commit = loses_its_answer  # type: ignore[method-assign]
    attempt(
        table,
        lambda t: (files, {STATE: summary_value(next(iter(ancestors(t))), STATE) or ""}),
        "only-once",
        threading.Event(),
    )
    assert tries == 1
    assert committed(table, "only-once")
    assert offsets(catalog, settings) == list(range(5))


def test_replay_after_the_judgement_is_noticed(settings: Settings, committer: Open) -> None:
    """Otherwise an id that replay landed meanwhile would be landed again."""
    owner = committer("a")
    table = owner.table("vehicle")
    judged_on = table.metadata.current_snapshot_id
    assert not replayed_since(table, judged_on)
    owner.commit([batch(owner, 0, 1)])
    assert not replayed_since(table, judged_on)
    from watling.lake.commit import REPLAY, append

    append(table, [], {REPLAY: "r1"})
    assert replayed_since(table, judged_on)


def test_a_new_optional_field_reads_null_in_old_rows(catalog: Catalog, settings: Settings, committer: Open) -> None:
    """A city adds a field to its contract: nothing is rewritten and old rows stay readable."""
    owner = committer("a")
    owner.commit([batch(owner, 0, 3)])
    wider = replace(VEHICLE, fields=(*VEHICLE.fields, Field("battery_pct", 24, "double", (Wire("battery"),))))
    table = ensure_stream_table(catalog, settings, wider)
    more = rows(3, 2, wider)
    assert "battery_pct" in more.column_names
    owner = Committer(catalog, settings, "b", threading.Event())
    owner.claim(wider)
    delta = {0: PartitionDelta(3, 5, landed=2)}
    assert not isinstance(
        owner.commit([Batch("vehicle", 0, delta, write_rows(owner.table("vehicle"), more))])["vehicle"], Exception
    )
    table.refresh()
    assert table.scan().to_arrow()["battery_pct"].null_count == 5
    assert read_state(table).generations[0].partitions[0].next == 5


def test_a_changed_type_is_refused_with_the_way_out(catalog: Catalog, settings: Settings) -> None:
    """A silent change of type would make old rows unreadable."""
    ensure_stream_table(catalog, settings, VEHICLE)
    fields = tuple(replace(f, type="string") if f.name == "speed_kmh" else f for f in VEHICLE.fields)
    with pytest.raises(EvolutionError, match="speed_kmh"):
        ensure_stream_table(catalog, settings, replace(VEHICLE, fields=fields))


def test_files_are_sorted_and_skip_by_vehicle(catalog: Catalog, settings: Settings, committer: Open) -> None:
    """Queries by vehicle and time must not read every file."""
    owner = committer("a")
    owner.commit([batch(owner, 0, 20)])
    table = load_table(catalog, settings, "vehicle")
    assert table is not None
    data = table.scan().to_arrow()
    keys = list(zip(data["vehicle_id"].to_pylist(), data["event_time"].to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert list(table.scan(row_filter="vehicle_id == 'v9'").plan_files()) == []
