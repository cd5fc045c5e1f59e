"""Kafka 3.9 under ZooKeeper as its user meets it: exactly once, ZooKeeper killed, restarted, alone on this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import free_port, wait_until
from tests.integration.cli.test_up import Home
from tests.integration.cli.test_up import home as supervised_home
from tests.integration.pipeline.conftest import City, city, event, make_city
from watling.audit import run_audit
from watling.broker import admin, embedded, zookeeper
from watling.broker.errors import BrokerError
from watling.config import Settings, load_settings
from watling.contracts import load_contracts

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
__all__ = ["city", "make_city", "supervised_home"]

TRAFFIC = {"traffic": load_contracts(None)["traffic"]}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a home whose broker runs under ZooKeeper."""
    home: Path = tmp_path_factory.mktemp("zookeeper")
    settings = load_settings(home=home, broker={"port": free_port(), "coordination": "zookeeper"})
    embedded.start(settings, attached=True)
    try:
        yield settings
    finally:
        embedded.stop(settings)


def beside(settings: Settings) -> zookeeper.ZooKeeperStatus:
    found = embedded.status(settings).zookeeper
    assert found is not None
    return found


def kill_zookeeper(settings: Settings) -> None:
    pid = beside(settings).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: beside(settings).crashed, 10)


def test_records_land_once_with_zookeeper_killed_in_mid_stream(kafka: Settings, city: City) -> None:
    """A dead ZooKeeper must cost no record and no second of service, and a new one must be taken up again."""
    broker = embedded.status(kafka).pid
    city.send("vehicle", [event(n) for n in range(1000)] + [b"junk"])
    pipeline = city.start(once=False)
    try:
        assert wait_until(lambda: city.settled("vehicle") >= 1001, 60)
        kill_zookeeper(kafka)
        city.send("vehicle", [event(n) for n in range(900, 2000)])  # a hundred of them sent again
        assert wait_until(lambda: city.settled("vehicle") >= 2101, 60), "it goes on without ZooKeeper"
        assert not beside(kafka).running
        embedded.start(kafka)
        assert beside(kafka).healthy
        city.send("vehicle", [event(n) for n in range(2000, 2500)])
        assert wait_until(lambda: city.settled("vehicle") >= 2601, 60)
    finally:
        pipeline.terminate()
        pipeline.communicate(timeout=60)
    city.drain()
    city.assert_whole("vehicle")
    ids = city.rows("vehicle")["id"].to_pylist()
    assert len(ids) == len(set(ids)) == 2500
    report = run_audit(city.settings, contracts={"vehicle": city.contracts["vehicle"]})
    assert report.ok, report.lines()
    assert embedded.status(kafka).pid == broker, "the broker never stopped"
    admin.ensure_topics(kafka, TRAFFIC)  # topics are ZooKeeper's: it is at work again
    assert admin.partitions(kafka, "traffic_data")


def test_both_listen_on_this_machine_alone(kafka: Settings) -> None:
    """Neither asks anybody who they are, and ZooKeeper's words must not tell a neighbour what is in it."""
    found, own = embedded.status(kafka), beside(kafka)
    for pid in (found.pid, own.pid):
        listening = [c.laddr for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
        assert len(listening) == 1, "no admin server, no JMX"
    assert (found.version, own.version, found.coordination) == ("3.9.2", "3.8.4", "zookeeper")
    assert own.address is not None
    assert _say(own.address, b"ruok") == b"imok"
    assert b"not in the whitelist" in _say(own.address, b"dump")
    assert f"zookeeper.connect={own.address}/watling" in (kafka.home / "broker/server.properties").read_text()


def _say(address: str, word: bytes) -> bytes:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as line:
        line.sendall(word)
        return line.makefile("rb").read()


def binds(line: socket.socket, host: str, port: int) -> bool:
    try:
        line.bind((host, port))
    except OSError:
        return False
    return True


def test_a_taken_port_of_zookeeper_is_said(kafka: Settings) -> None:
    """A broker waits for ZooKeeper at one address: who took it must be named, not waited for."""
    kill_zookeeper(kafka)
    address = beside(kafka).address
    assert address is not None
    host, _, port = address.rpartition(":")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        assert wait_until(lambda: binds(taken, host, int(port)), 10), "the killed ZooKeeper holds its port"
        taken.listen()
        with pytest.raises(BrokerError, match=rf"{address}.*pid {os.getpid()}"):
            embedded.start(kafka)
        assert admin.ping(kafka), "the broker goes on"
    embedded.start(kafka)
    assert beside(kafka).healthy


def test_a_killed_broker_waits_for_its_place_and_comes_back(kafka: Settings) -> None:
    """ZooKeeper holds a dead broker's place for some seconds: a start in that time must not fail."""
    status = embedded.status(kafka)
    admin.ensure_topics(kafka, TRAFFIC)
    before = admin.topic_ids(kafka, ["traffic_data"])
    assert status.pid is not None
    os.kill(status.pid, signal.SIGKILL)
    assert wait_until(lambda: embedded.status(kafka).crashed, 10)
    again = embedded.start(kafka, attached=True)
    assert again.pid != status.pid
    assert admin.topic_ids(kafka, ["traffic_data"]) == before


def test_a_restart_keeps_all_and_a_stop_leaves_no_process(kafka: Settings, city: City) -> None:
    """A stop for the night: topics and records are there in the morning, and nothing ran in between."""
    city.send("vehicle", [event(n) for n in range(100)])
    topic = city.contracts["vehicle"].topic
    ids, ends = admin.topic_ids(kafka, [topic]), admin.watermarks(kafka, topic)
    before = embedded.status(kafka)
    pids = {before.pid, beside(kafka).pid}
    assert embedded.stop(kafka)
    assert not [p for p in psutil.process_iter(["status"]) if p.pid in pids and p.status() != psutil.STATUS_ZOMBIE]
    assert not beside(kafka).crashed
    kraft = load_settings(home=kafka.home, broker={"port": kafka.broker.port, "coordination": "kraft"})
    with pytest.raises(BrokerError, match=r"(?s)broker/zookeeper holds .*--coordination zookeeper.*--accept-new-topic"):
        embedded.start(kraft)
    again = embedded.start(kafka, attached=True)
    assert again.cluster_id == before.cluster_id
    assert (admin.topic_ids(kafka, [topic]), admin.watermarks(kafka, topic)) == (ids, ends)
    with pytest.raises(BrokerError, match="runs already, with ZooKeeper"):
        embedded.start(kraft)


def test_the_records_of_kraft_are_not_left_behind_unseen(tmp_path: Path) -> None:
    """Another coordination begins with no records: whoever changes the setting must be told, not find an empty Kafka."""
    settings = load_settings(home=tmp_path, broker={"port": free_port(), "coordination": "zookeeper"})
    (tmp_path / "broker/data").mkdir(parents=True)
    (tmp_path / "broker/data/meta.properties").write_text("cluster.id=x\n")
    with pytest.raises(BrokerError, match=r"(?s)KRaft.*--coordination kraft"):
        embedded.start(settings)
    assert not beside(settings).running


def test_up_starts_a_killed_zookeeper_again(supervised_home: Home) -> None:
    """Nobody watches at night: `watling up` must mend ZooKeeper by itself, with the broker untouched, and end both."""
    home = supervised_home
    home.environment["WATLING_BROKER__COORDINATION"] = "zookeeper"
    up = home.up("--simulate", "--vehicles", "50")
    broker = home.part("broker")["pid"]
    os.kill(home.part("zookeeper")["pid"], signal.SIGKILL)
    assert wait_until(lambda: home.part("zookeeper").get("restarts") == 1, 60), home.log.read_text()
    status: dict[str, Any] = json.loads(home.run("status", "--json"))["broker"]
    assert status["zookeeper"]["healthy"]
    assert status["pid"] == broker
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 130, home.log.read_text()
    assert home.processes() == []
    assert json.loads(home.run("audit", "--json"))["ok"]


def test_the_way_to_kraft_as_the_docs_tell_it(supervised_home: Home) -> None:
    """Whoever leaves ZooKeeper must find every record once, and what is sent again afterwards must still be known."""
    home = supervised_home
    sending = ("simulate", "--vehicles", "50", "--duration", "20s", "--speed", "max", "--no-pictures")
    start = ("--start", "2026-05-04T07:00:00+01:00")  # the same bytes each time
    home.run("broker", "start", "--coordination", "zookeeper")
    home.run(*sending, *start)
    home.run("run", "--once")
    landed = json.loads(home.run("audit", "--json"))["streams"]["vehicle"]["landed"]
    home.run("broker", "stop")
    assert home.processes() == []
    home.run("broker", "start", code=1)
    (home.path / "broker/zookeeper").rename(home.path.parent / "zookeeper-of-before")
    home.run("broker", "start")
    home.run(*sending, *start)
    home.run("run", "--once", code=1)
    home.run("run", "--once", "--accept-new-topic")
    report = json.loads(home.run("audit", "--json"))
    assert report["ok"]
    assert report["streams"]["vehicle"]["landed"] == landed > 0, "all of it was there already"
    home.run("broker", "stop")
