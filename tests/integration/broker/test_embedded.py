"""The embedded Kafka as its user meets it: started, stopped, killed, its port taken, its jars spoilt."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.conftest import free_port, wait_until
from watling.broker import admin, embedded, jars
from watling.broker.errors import BrokerError, BrokerUnreachable, BrokerUsageError
from watling.broker.releases import KRAFT
from watling.config import Settings, load_settings
from watling.contracts import load_contracts
from watling.ops.process import Identity, write_identity

pytestmark = pytest.mark.integration
VEHICLE = {"vehicle": load_contracts(None)["vehicle"]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = load_settings(home=tmp_path / "a home", broker={"port": free_port()})
    yield made  # type: ignore[misc]
    embedded.stop(made)


def produce(settings: Settings, count: int) -> None:
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "acks": "all"})
    for number in range(count):
        producer.produce("vehicle_data", value=str(number), partition=0)
    assert producer.flush(30) == 0


def end_offset(settings: Settings) -> int:
    return admin.watermarks(settings, "vehicle_data")[0][1]


def test_records_and_topics_outlive_a_restart(settings: Settings) -> None:
    """A stop for the night must not cost a record."""
    started = embedded.start(settings)
    assert started.running
    assert admin.ensure_topics(settings, VEHICLE) == ["vehicle_data"]
    before = admin.topic_ids(settings, ["vehicle_data"])
    assert len(admin.partitions(settings, "vehicle_data")) == settings.broker.partitions
    produce(settings, 100)
    assert embedded.stop(settings)
    assert not embedded.status(settings).running
    again = embedded.start(settings)
    assert again.cluster_id == started.cluster_id
    assert admin.topic_ids(settings, ["vehicle_data"]) == before
    assert admin.ensure_topics(settings, VEHICLE) == []
    assert end_offset(settings) == 100


def test_it_comes_back_after_kill_9(settings: Settings) -> None:
    """Power and memory run out at night."""
    embedded.start(settings)
    admin.ensure_topics(settings, VEHICLE)
    produce(settings, 50)
    pid = embedded.status(settings).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not embedded.status(settings).running, 10)
    assert embedded.status(settings).crashed
    embedded.start(settings)
    assert end_offset(settings) == 50


def test_a_second_start_changes_nothing(settings: Settings) -> None:
    """Two terminals, one broker."""
    assert embedded.start(settings).pid == embedded.start(settings).pid


def test_a_taken_port_is_named_with_its_owner(settings: Settings) -> None:
    """'Address already in use' alone helps nobody at night."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.broker.port))
        taken.listen()
        with pytest.raises(BrokerError, match=rf"pid {os.getpid()}.*WATLING_BROKER__PORT"):
            embedded.start(settings)


def test_an_external_cluster_starts_nothing_here(tmp_path: Path) -> None:
    """Whoever names a cluster must not get another one beside it."""
    external = load_settings(home=tmp_path, kafka={"bootstrap_servers": "127.0.0.1:1"})
    with pytest.raises(BrokerUsageError, match="nothing is started"):
        embedded.start(external)
    with pytest.raises(BrokerUnreachable, match=r"kafka\.bootstrap_servers"):
        admin.ping(external, timeout_s=1)


def test_a_broker_that_is_not_there_is_told_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """«Timed out» alone sends a tired person to the wrong place: refused, unknown host and bad password differ."""
    monkeypatch.setattr(admin, "TIMEOUT_S", 2.0)
    settings = load_settings(home=tmp_path, kafka={"bootstrap_servers": f"127.0.0.1:{free_port()}"})
    with pytest.raises(BrokerUnreachable, match="Connection refused"):
        admin.topic_ids(settings, ["vehicle_data"])


def test_a_pid_that_was_given_out_anew_is_never_signalled(settings: Settings) -> None:
    """A stale pid file must not stop somebody else's process."""
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        write_identity(settings.home.resolve() / "run" / "broker.json", Identity(other.pid, time.time() - 86_400))
        assert not embedded.status(settings).running
        assert embedded.stop(settings) is False
        assert other.poll() is None
    finally:
        other.kill()


def test_an_attached_broker_ends_with_its_parent_killed(settings: Settings) -> None:
    """kill -9 of `watling up` must leave no orphan."""
    body = (
        "import sys, time; from pathlib import Path; from watling.config import load_settings; "
        "from watling.broker import embedded; "
        f"s = load_settings(home=Path({str(settings.home)!r}), broker={{'port': {settings.broker.port}}}); "
        "print(embedded.start(s, attached=True).pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", body], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait(10)
    assert wait_until(lambda: not psutil.pid_exists(pid), 20)


def test_an_unwritable_home_is_said_so(tmp_path: Path) -> None:
    """A wrong mount is the commonest first fault."""
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(BrokerError, match="cannot be written"):
        embedded.start(load_settings(home=blocked, broker={"port": free_port()}))


def test_a_broker_that_dies_at_its_start_says_why(settings: Settings) -> None:
    """Its log's end belongs into the message."""
    embedded.start(settings)
    embedded.stop(settings)
    meta = settings.home.resolve() / "broker" / "data" / "meta.properties"
    meta.write_text(meta.read_text().replace("node.id=1", "node.id=77"))
    with pytest.raises(BrokerError, match="77"):
        embedded.start(settings)


def test_a_spoilt_jar_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs the city's data must be what was committed."""
    source = jars.cache_dir() / "jars" / KRAFT.lock
    paths = jars.resolve(KRAFT.lock)
    assert all(p.is_file() for p in paths)
    shutil.copytree(source, tmp_path / "jars" / KRAFT.lock)
    monkeypatch.setenv("WATLING_CACHE", str(tmp_path))
    victim = jars.resolve(KRAFT.lock)[3]
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    with pytest.raises(jars.JarError, match="SHA-256"):
        jars.resolve(KRAFT.lock)


def test_transactions_work(settings: Settings) -> None:
    """Producers that use them must not be turned away by a single node's defaults."""
    embedded.start(settings)
    admin.ensure_topics(settings, VEHICLE)
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "transactional.id": "t"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce("vehicle_data", value="x", partition=0)
    producer.commit_transaction(30)
    consumer = Consumer(
        {"bootstrap.servers": settings.bootstrap_servers, "group.id": "g", "auto.offset.reset": "earliest"}
    )
    consumer.assign([TopicPartition("vehicle_data", 0, 0)])
    message = consumer.poll(20)
    consumer.close()
    assert message is not None
    assert message.value() == b"x"


def test_a_topic_made_anew_has_another_id(settings: Settings) -> None:
    """The pipeline tells a new topic from an old one by nothing else."""
    embedded.start(settings)
    admin.ensure_topics(settings, VEHICLE)
    before = admin.topic_ids(settings, ["vehicle_data"])
    admin.delete_topic(settings, "vehicle_data")
    assert wait_until(lambda: not admin.topic_ids(settings, ["vehicle_data"]), 20)
    admin.ensure_topics(settings, VEHICLE)
    assert admin.topic_ids(settings, ["vehicle_data"]) != before
