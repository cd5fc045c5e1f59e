"""Homes with a broker each: side by side, moved, lost and found; and what stands in the way of a start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.conftest import free_port, wait_until
from watling.broker import admin, embedded, jars, preflight
from watling.broker.client import client_config, producer_config
from watling.broker.errors import BrokerError, BrokerUsageError
from watling.broker.jars import Jar, JarError
from watling.broker.releases import KRAFT
from watling.config import Settings, load_settings
from watling.contracts import load_contracts
from watling.errors import UnreachableError

pytestmark = pytest.mark.integration
TRAFFIC = {"traffic": load_contracts(None)["traffic"]}
TOPIC = "traffic_data"

Home = Callable[..., Settings]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Makes settings of a home by name; its broker is stopped at the end."""
    made: list[Settings] = []

    def make(name: str = "home", **broker: object) -> Settings:
        made.append(load_settings(home=tmp_path / name, broker={"port": free_port(), **broker}))
        return made[-1]

    yield make
    for settings in made:
        embedded.stop(settings)


def starter(settings: Settings) -> subprocess.Popen[str]:
    """Another process that starts the home's broker in the background and prints its pid."""
    body = (
        "from pathlib import Path; from watling.config import load_settings; from watling.broker import embedded; "
        f"s = load_settings(home=Path({str(settings.home)!r}), broker={{'port': {settings.broker.port}}}); "
        "print(embedded.start(s).pid)"
    )
    return subprocess.Popen([sys.executable, "-c", body], stdout=subprocess.PIPE, text=True)


def test_two_homes_side_by_side(home: Home) -> None:
    """A trial beside the real city: each has its own data, and stopping one leaves the other."""
    one, two = home("one"), home("two")
    starters = [starter(one), starter(two)]
    assert [s.wait(90) for s in starters] == [0, 0]
    assert admin.ping(one) != admin.ping(two)
    admin.ensure_topics(one, TRAFFIC)
    assert admin.topic_ids(two, [TOPIC]) == {}
    embedded.stop(one)
    assert admin.ping(two) == embedded.status(two).cluster_id


def test_two_starts_of_one_home_at_once_make_one_broker(home: Home) -> None:
    """`watling up` in two terminals."""
    settings = home()
    starters = [starter(settings) for _ in range(3)]
    pids = {s.communicate(timeout=90)[0].strip() for s in starters}
    assert pids == {str(embedded.status(settings).pid)}


def test_the_port_of_another_home_is_named_as_that(home: Home) -> None:
    """The commonest taken port is that of yesterday's broker."""
    first = home("first")
    embedded.start(first)
    second = home("second", port=first.broker.port)
    with pytest.raises(BrokerError, match="another home") as refused:
        embedded.start(second)
    assert f"watling --home {first.home.resolve()} broker stop" in refused.value.message
    assert admin.ping(first)


def test_a_broker_whose_pid_file_is_lost_is_found_again(home: Home) -> None:
    """Somebody cleared `run/`: the next command must not call it a stranger on the port."""
    settings = home()
    pid = embedded.start(settings).pid
    (settings.home / "run" / "broker.json").unlink()
    assert embedded.start(settings).pid == pid
    (settings.home / "run" / "broker.json").unlink()
    assert embedded.stop(settings)
    assert pid is not None
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_port_changed_while_it_runs_is_said_so(home: Home) -> None:
    """Waiting a minute for nobody at the new port explains nothing."""
    settings = home()
    embedded.start(settings)
    moved = load_settings(home=settings.home, broker={"port": free_port()})
    with pytest.raises(BrokerError, match="watling broker stop") as refused:
        embedded.start(moved)
    assert settings.bootstrap_servers in refused.value.message
    assert embedded.status(moved).address == settings.bootstrap_servers, "status tells where it really is"


def test_status_of_a_running_broker(home: Home) -> None:
    """What `watling status` shows."""
    settings = home()
    before = embedded.status(settings)
    assert (before.running, before.crashed, before.data_bytes, before.cluster_id) == (False, False, None, None)
    embedded.start(settings)
    status = embedded.status(settings)
    assert status.running
    assert status.port == settings.broker.port
    assert status.version == "4.4.0"
    assert status.cluster_id == admin.ping(settings)
    assert status.pid is not None
    assert psutil.pid_exists(status.pid)
    assert status.rss_bytes is not None
    assert 50e6 < status.rss_bytes < 500e6
    assert status.data_bytes is not None
    assert status.data_bytes > 0
    assert status.uptime_s is not None
    assert status.uptime_s < 90


def test_it_listens_on_this_machine_alone(home: Home) -> None:
    """It asks nobody who they are: the network must not reach it."""
    settings = home()
    status = embedded.start(settings)
    addresses = {c.laddr.ip for c in psutil.Process(status.pid).net_connections("inet") if c.status == "LISTEN"}
    assert {a.removeprefix("::ffff:") for a in addresses} == {"127.0.0.1"}
    with pytest.raises(BrokerUsageError, match="this machine alone"):
        embedded.start(home("open", host="0.0.0.0"))


def test_any_path_will_do_for_a_home(home: Home) -> None:
    """A comma, a per cent sign or an umlaut in a folder's name are nobody's fault."""
    settings = home("Zürich, 50% of $it: \\here")
    assert embedded.start(settings).running
    embedded.stop(settings)
    assert embedded.start(settings).running


def test_a_full_disk_is_said_before_the_start(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Kafka that dies at night of a full disk loses the night."""
    monkeypatch.setattr(preflight, "FREE_BYTES_NEEDED", 2**62)
    with pytest.raises(BrokerError, match=r"MB are free.*WATLING_HOME"):
        embedded.start(home())


def test_a_start_that_takes_too_long_leaves_nothing(home: Home) -> None:
    """After a failed start the port is free and the next one works."""
    settings = home()
    embedded.start(settings)  # formats its data
    embedded.stop(settings)
    hasty = load_settings(home=settings.home, broker={"port": settings.broker.port, "start_timeout_s": 0.05})
    with pytest.raises(BrokerError, match="WATLING_BROKER__START_TIMEOUT_S"):
        embedded.start(hasty)
    assert not embedded.status(settings).running
    assert not embedded.status(settings).crashed
    assert embedded.start(settings).running


def test_java_options_of_other_programs_do_not_reach_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's machine has JAVA_TOOL_OPTIONS set for something else."""
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1k")
    monkeypatch.setenv("CLASSPATH", "/nowhere")
    assert embedded.start(home()).running


def test_logs_are_bounded_and_in_the_home(home: Home) -> None:
    """What happens in Kafka is in the home, nowhere else."""
    settings = home()
    embedded.start(settings)
    folder = settings.home / "logs"
    assert wait_until(lambda: "started" in (folder / "broker.log").read_text(), 10)
    assert "10 MB" in (settings.home / "broker" / "log4j2.yaml").read_text()
    assert not list(settings.home.glob("*.log"))


def test_a_large_picture_goes_there_and_back(kafka: Settings) -> None:
    """A camera's picture may have nearly 16 MB."""
    admin.ensure_topics(kafka, TRAFFIC)
    body = os.urandom(15 * 1024 * 1024)
    producer = Producer(producer_config(kafka))
    failed: list[object] = []
    placed: list[tuple[int, int]] = []

    def note(error: object, message: object) -> None:
        if error is not None:
            failed.append(error)
        else:
            placed.append((message.partition(), message.offset()))  # type: ignore[attr-defined]

    producer.produce(TOPIC, value=body, on_delivery=note)
    assert producer.flush(60) == 0
    assert not failed
    consumer = Consumer({**client_config(kafka), "group.id": "large", "auto.offset.reset": "error"})
    try:
        consumer.assign([TopicPartition(TOPIC, *placed[0])])
        message = consumer.poll(30)
        assert message is not None
        assert message.value() == body
    finally:
        consumer.close()


def test_topics_are_not_made_by_a_typo(kafka: Settings) -> None:
    """A device that writes to `vehcle_data` must be told, not fill a topic that nobody reads."""
    producer = Producer({**client_config(kafka), "message.timeout.ms": 5000, "topic.metadata.propagation.max.ms": 500})
    errors: list[str] = []
    producer.produce("vehcle_data", value=b"{}", on_delivery=lambda error, _: errors.append(error.name()))
    producer.flush(20)
    assert errors in (["UNKNOWN_TOPIC_OR_PART"], ["_UNKNOWN_TOPIC"])
    assert admin.topic_ids(kafka, ["vehcle_data"]) == {}
    assert admin.partitions(kafka, "vehcle_data") == []
    assert admin.watermarks(kafka, "vehcle_data") == {}
    assert admin.watermarks(kafka, "vehcle_data", [0]) == {}


def test_asking_for_topics_keeps_nothing(kafka: Settings) -> None:
    """The pipeline asks at every commit, for months: a hundred bytes each time are tens of MB a day."""
    contracts = load_contracts(None)
    topics = [c.topic for c in contracts.values()]
    admin.ensure_topics(kafka, contracts)
    process = psutil.Process()
    grown = []
    for _ in range(3):  # whatever else the process does, one of the rounds is quiet
        before = process.memory_info().rss
        for _ in range(1500):
            assert len(admin.topic_ids(kafka, topics)) == len(topics)
        grown.append(process.memory_info().rss - before)
    assert min(grown) < 1500 * len(topics) * 40, grown


def test_what_was_downloaded_must_be_what_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A jar swapped on its way must never run."""
    small = next(jar for jar in jars.read_lock(KRAFT.lock) if jar.artifact == "jspecify")
    monkeypatch.setenv("WATLING_CACHE", str(tmp_path))
    monkeypatch.setattr(jars, "read_lock", lambda name: [Jar(small.group, small.artifact, small.version, "0" * 64)])
    try:
        with pytest.raises(JarError, match="committed list"):
            jars.resolve("made")
    except UnreachableError as error:
        pytest.skip(f"needs a network: {error.message}")
    assert not list(tmp_path.rglob("*.jar")), "it is not kept"
