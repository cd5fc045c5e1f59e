"""Exactly once against a real broker and real deaths: what a restart, a second writer or a new topic may not change."""

from __future__ import annotations

import time
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewPartitions

from tests.integration.pipeline.conftest import City, event

pytestmark = pytest.mark.integration

BAD = [
    b"",
    b"{",
    b"[1]",
    None,
    b"\xff\xfe",
    b'{"id": "x"}',
    b'{"id":"y","vehicle_id":"v","timestamp":"never","location":[1,2]}',
]


def mixed(count: int, first: int = 0) -> list[bytes | None]:
    values: list[bytes | None] = []
    for number in range(first, first + count):
        values.append(event(number))
        if number % 50 == 0:
            values.append(BAD[number // 50 % len(BAD)])
        if number % 70 == 0:
            values.append(event(number))  # sent again
    return values


def test_mixed_records_land_once_and_a_second_run_changes_nothing(city: City) -> None:
    """The plain promise: good rows land, bad ones and duplicates are kept aside, nothing twice."""
    values = mixed(2000)
    city.send("vehicle", values)
    first = city.drain()["vehicle"]
    assert first[:4] == [2000, len(values) - 2000, 29, 0]
    city.assert_whole("vehicle")
    before = city.state("vehicle")
    assert city.drain()["vehicle"][:4] == [0, 0, 0, 0]
    assert city.state("vehicle").generations == before.generations
    city.assert_whole("vehicle")


@pytest.mark.parametrize("point", ["fetched", "data_written", "quarantine_committed", "stream_committed"])
def test_death_at_any_point_loses_and_doubles_nothing(city: City, point: str) -> None:
    """kill -9 at the worst moments, then a restart."""
    values = mixed(3000)
    city.send("vehicle", values)
    city.drain(failpoint=point, expect=-9)
    city.send("vehicle", mixed(500, first=3000))
    city.drain()
    city.assert_whole("vehicle")
    assert len(city.places("vehicle")) == city.sent["vehicle"]
    ids = city.rows("vehicle")["id"].to_pylist()
    assert len(ids) == len(set(ids)) == 3500


def test_a_contract_changed_between_the_two_commits_moves_nothing_twice(city: City) -> None:
    """What quarantine took before the death stays there, whatever today's contract says of it."""
    city.send("vehicle", [event(n, speed=450 if n % 10 == 0 else 50) for n in range(500)])
    city.drain(failpoint="quarantine_committed", expect=-9)
    path = next(city.settings.contracts.glob("vehicle*"))  # type: ignore[union-attr]
    path.write_text(path.read_text().replace("maximum: 400", "maximum: 500"))
    report = city.drain()["vehicle"]
    assert report[:2] == [450, 50]
    city.assert_whole("vehicle")


def test_a_duplicate_across_restarts_is_found_in_the_lake(city: City) -> None:
    """A device that sends again after a restart must not be counted twice."""
    city.send("vehicle", [event(n) for n in range(100)])
    city.drain()
    city.send("vehicle", [event(n) for n in range(50, 150)])
    assert city.drain()["vehicle"][:3] == [50, 50, 50]
    city.assert_whole("vehicle")


def test_a_second_writer_is_refused_by_name_and_take_over_fences_the_first(city: City) -> None:
    """Two engines by mistake, or on purpose: one of them owns the stream."""
    city.send("vehicle", mixed(200))
    first = city.start(once=False)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if city.state("vehicle").total("landed") == 200:
                    break
            except AssertionError:
                pass
            time.sleep(0.2)
        refused = city.drain(expect=2)
        assert f"pid {first.pid}" in refused["message"]
        city.send("vehicle", mixed(100, first=200))
        city.drain(take_over=True)
        city.send("vehicle", mixed(10, first=300))
        out, _ = first.communicate(timeout=60)
        assert first.returncode == 4, out
        assert "fenced" in out
    finally:
        first.kill()
    city.drain()
    city.assert_whole("vehicle")
    assert len(city.places("vehicle")) == city.sent["vehicle"]


def test_a_topic_made_anew_stops_the_stream_until_it_is_accepted(city: City) -> None:
    """Old offsets mean nothing in a new topic: reading on would skip or double records."""
    city.send("vehicle", [event(n) for n in range(100)])
    city.drain()
    city.remake_topic("vehicle")
    city.send("vehicle", [event(n) for n in range(1000, 1040)])
    refused = city.drain(expect=None)
    assert "--accept-new-topic" in str(refused)
    assert city.drain(accept_new_topic=True)["vehicle"][0] == 40
    assert city.state("vehicle").generation == 1
    city.assert_whole("vehicle")


def test_a_stream_that_may_not_be_read_does_not_stop_the_others(make_city: Any) -> None:
    """One topic made anew by mistake must not take the whole city down."""
    city = make_city("vehicle", "weather")
    city.send("vehicle", [event(n) for n in range(20)])
    city.drain()
    city.remake_topic("vehicle")
    city.send("weather", [b"nonsense"] * 3)
    report = city.drain(expect=1)
    assert "--accept-new-topic" in report["vehicle"][4]
    assert report["weather"] == [0, 3, 0, 0, None]


def test_records_that_retention_deleted_are_counted_as_lost(city: City) -> None:
    """A pipeline that was off too long must say what it never saw."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    topic = city.contracts["vehicle"].topic
    city.send("vehicle", [event(n) for n in range(100)], partition=0)
    city.drain()
    city.send("vehicle", [event(n) for n in range(100, 200)], partition=0)
    client = AdminClient({"bootstrap.servers": city.settings.bootstrap_servers})
    for future in client.delete_records([TopicPartition(topic, 0, 150)]).values():
        future.result(30)
    report = city.drain()["vehicle"]
    assert (report[0], report[3]) == (50, 50)
    city.assert_whole("vehicle")


def test_a_partition_added_while_running_is_read_from_its_start(city: City) -> None:
    """A topic that grows must not lose the first records of its new partitions."""
    from confluent_kafka.admin import AdminClient

    topic = city.contracts["vehicle"].topic
    city.send("vehicle", [event(n) for n in range(50)])
    process = city.start(once=False)
    try:
        client = AdminClient({"bootstrap.servers": city.settings.bootstrap_servers})
        for future in client.create_partitions([NewPartitions(topic, 5)]).values():
            future.result(30)
        time.sleep(1)
        city.send("vehicle", [event(n) for n in range(50, 90)], partition=4)
        deadline = time.monotonic() + 60
        while city.landed() < 90 and time.monotonic() < deadline:
            time.sleep(0.3)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert city.landed() == 90
    city.assert_whole("vehicle")


def test_transaction_markers_and_aborted_records_are_gaps(city: City) -> None:
    """Offsets are not counts: aborted transactions leave holes that are no loss."""
    producer = Producer(
        {
            "bootstrap.servers": city.settings.bootstrap_servers,
            "transactional.id": f"t-{city.contracts['vehicle'].topic}",
        }
    )
    producer.init_transactions(30)
    topic = city.contracts["vehicle"].topic
    for start in range(0, 100, 20):
        producer.begin_transaction()
        for n in range(start, start + 20):
            producer.produce(topic, value=event(n), partition=0)
        producer.flush(30)
        (producer.abort_transaction if start == 40 else producer.commit_transaction)(30)
    assert city.drain()["vehicle"][:2] == [80, 0]
    partition = city.state("vehicle").generations[0].partitions[0]
    assert partition.gap_offsets == 25
    assert partition.next == 105
    city.assert_whole("vehicle")


def test_a_stop_commits_what_was_read(city: City) -> None:
    """Ctrl-C must end within seconds and leave nothing half done."""
    city.send("vehicle", mixed(5000))
    process = city.start(once=False)
    deadline = time.monotonic() + 60
    while city.landed() == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    began = time.monotonic()
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert time.monotonic() - began < 10
    city.assert_whole("vehicle")


def test_five_streams_share_one_quarantine(make_city: Any) -> None:
    """Bad records of all streams are joined in one commit, each under its own name."""
    city = make_city("vehicle", "gps", "weather", "emergency", "traffic")
    for stream in city.streams:
        city.send(stream, [b"nonsense", b"{}"])
    city.send("vehicle", mixed(100))
    report = city.drain()
    assert {s: r[1] for s, r in report.items()}["gps"] == 2
    for stream in city.streams:
        city.assert_whole(stream)
