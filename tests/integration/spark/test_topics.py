"""What a topic may do to a stream that Spark reads: holes, losses, growth, and another topic under the same name."""

from __future__ import annotations

import time
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from tests.conftest import wait_until
from tests.integration.pipeline.conftest import event
from tests.integration.spark.conftest import Background, SparkCity
from watling.errors import WatlingError

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


def client(city: SparkCity) -> AdminClient:
    return AdminClient({"bootstrap.servers": city.settings.bootstrap_servers})


def test_records_that_retention_deleted_are_counted_as_lost(city: SparkCity) -> None:
    """A pipeline that was off too long must say what it never saw, also when all of it is gone."""
    topic = city.contracts["vehicle"].topic
    city.send("vehicle", [event(n) for n in range(100)], partition=0)
    assert city.land().landed == 100
    city.send("vehicle", [event(n) for n in range(100, 200)], partition=0)
    city.send("vehicle", [event(n) for n in range(200, 220)], partition=1)
    admin_client = client(city)  # held until it has answered
    for future in admin_client.delete_records([TopicPartition(topic, 0, 150), TopicPartition(topic, 1, 20)]).values():
        future.result(30)
    report = city.land()
    assert (report.landed, report.lost) == (50, 70)
    state = city.state("vehicle").generations[0].partitions
    assert (state[0].lost_ranges, state[1].lost_ranges) == (((100, 150),), ((0, 20),))
    city.assert_whole("vehicle")


def test_a_topic_made_anew_stops_the_stream_until_it_is_accepted(make_spark_city: Any) -> None:
    """Old offsets mean nothing in a new topic; the other streams go on."""
    city = make_spark_city("vehicle", "weather")
    city.send("vehicle", [event(n) for n in range(100)])
    city.run()
    city.remake_topic("vehicle")
    city.send("vehicle", [event(n) for n in range(1000, 1040)])
    city.send("weather", [b"nonsense"] * 3)
    report = city.run()
    assert "--accept-new-topic" in (report.streams["vehicle"].error or "")
    assert report.streams["weather"].quarantined == 3
    assert city.land(accept_new_topic=True).landed == 40
    assert city.state("vehicle").generation == 1
    city.assert_whole("vehicle")


def test_a_topic_made_anew_while_it_is_read_stops_the_stream(city: SparkCity) -> None:
    """A topic under the same name must not be read on as if it were the old one."""
    city.send("vehicle", [event(n) for n in range(60)])
    spark = Background(city)
    assert wait_until(lambda: city.landed() == 60 or spark.result is not None, 120)
    city.remake_topic("vehicle")
    city.send("vehicle", [event(n) for n in range(1000, 1100)])
    try:
        assert wait_until(lambda: spark.result is not None, 90), "it was read on"
    finally:
        result = spark.end()
    said = result.message if isinstance(result, WatlingError) else str(result.streams["vehicle"].error)
    assert "made again" in said or "--accept-new-topic" in said
    assert city.landed() == 60


def test_a_partition_added_while_running_is_read_from_its_start(city: SparkCity) -> None:
    """A topic that grows must not lose the first records of its new partitions."""
    topic = city.contracts["vehicle"].topic
    city.send("vehicle", [event(n) for n in range(50)])
    spark = Background(city)
    try:
        assert wait_until(lambda: city.landed() == 50 or spark.result is not None, 120)
        admin_client = client(city)
        for future in admin_client.create_partitions([NewPartitions(topic, 5)]).values():
            future.result(30)
        time.sleep(1)
        city.send("vehicle", [event(n) for n in range(50, 90)], partition=4)
        assert wait_until(lambda: city.landed() == 90 or spark.result is not None, 120), spark.result
    finally:
        report = spark.end()
    assert not report.failed
    city.assert_clean()
