"""Receives the settings and the jars of Kafka's last line with it; gives one ZooKeeper on this machine, loopback only.

It serves the embedded broker of its home and nobody else. `broker.embedded` starts it before the broker and stops it
after; a broker whose ZooKeeper died goes on, and waits for another one at the same address.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from watling.broker import node, preflight
from watling.broker.errors import BrokerError
from watling.config import Settings
from watling.ops.process import (
    Identity,
    disk_bytes,
    identity_of,
    last_lines,
    launched,
    read_identity,
    write_file,
    write_identity,
)
from watling.ops.process import stop as stop_process

MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
PROPERTIES = "broker/zookeeper.properties"  # relative to the home, like all below
LOG4J = "broker/zookeeper-log4j.properties"
DATA = "broker/zookeeper/data"
LOG = "logs/zookeeper.log"
OUT = "logs/zookeeper.out"

HEAP_MB = 64
TICK_MS = 500  # sessions are ended at whole ticks
ASK_S = 1.0
TERM_S = 5.0
TRIES = 3  # of a port, which another process may take between our look and ZooKeeper's


@dataclass(frozen=True, slots=True)
class ZooKeeperStatus:
    """The ZooKeeper of this home as it is now. Bytes and seconds; None for what is not known while it is down.

    `healthy`: it says itself that it serves. `crashed`: it was started and is gone without having been stopped.
    """

    running: bool
    healthy: bool
    address: str | None
    pid: int | None = None
    version: str | None = None
    uptime_s: float | None = None
    rss_bytes: int | None = None
    data_bytes: int | None = None
    crashed: bool = False


def start(settings: Settings, home: Path, jars: list[Path], *, keep: str | None, attached: bool) -> str:
    """Start ZooKeeper and wait until it is well; one that runs is left as it is. Gives its address, `host:port`.

    `keep` is the address at which a running broker waits for it: no other will do. `attached`: it ends when the calling
    thread ends. Hold the home's lock of the broker.

    Raises:
        BrokerError: the address is taken, or ZooKeeper died at its start (with the end of its log).
    """
    known = read_identity(_pid_file(home)) or _left_running(home)
    if known is not None and known.process() is not None:
        write_identity(_pid_file(home), known)
        address = keep or _configured(home) or ""
        _wait_ready(settings, home, address, known, None)
        return address
    for attempt in range(TRIES):
        address = keep or _address(settings, home)
        preflight.check_zookeeper_port(address)
        _configure(settings, home, address)
        try:
            _launch(settings, home, jars, address, attached)
            break
        except BrokerError as error:
            if keep is not None or attempt == TRIES - 1 or "Address already in use" not in error.message:
                raise
    return address


def stop(home: Path) -> bool:
    """Stop ZooKeeper: TERM, and KILL when that takes longer than 5 s. False when it did not run.

    Its data is on the disk before it acknowledges anything, so neither costs a thing.
    """
    known = read_identity(_pid_file(home)) or _left_running(home)
    process = known.process() if known is not None else None
    if process is not None and not stop_process(process, TERM_S):
        raise BrokerError(f"ZooKeeper (pid {process.pid}) does not end, not even by KILL: does its disk hang?")
    _pid_file(home).unlink(missing_ok=True)
    return process is not None


def status(home: Path) -> ZooKeeperStatus:
    """What the ZooKeeper of this home does; asks it whether it is well."""
    known = read_identity(_pid_file(home))
    process = known.process() if known is not None else None
    address = _configured(home)
    size = disk_bytes(home / DATA)
    try:
        memory, since = (process.memory_info().rss, process.create_time()) if process is not None else (None, None)
    except psutil.NoSuchProcess:
        process, memory, since = None, None, None
    if process is None or address is None or since is None:
        return ZooKeeperStatus(False, False, address, data_bytes=size, crashed=known is not None)
    version = serving(address)
    uptime = round(max(0.0, time.time() - since), 1)
    return ZooKeeperStatus(True, version is not None, address, process.pid, version, uptime, memory, size)


def identity(home: Path) -> Identity | None:
    """The process last started for this home, for a supervisor that watches it."""
    return read_identity(_pid_file(home))


def serving(address: str) -> str | None:
    """The version that the ZooKeeper at this address tells (`srvr`) when it serves; None when it does not."""
    host, _, port = address.rpartition(":")
    answer = b""
    try:
        with socket.create_connection((host, int(port)), timeout=ASK_S) as line:
            line.settimeout(ASK_S)
            line.sendall(b"srvr")
            deadline = time.monotonic() + ASK_S
            while (piece := line.recv(4096)) and time.monotonic() < deadline:
                answer += piece
    except OSError:
        return None
    found = re.match(rb"Zookeeper version: ([\d.]+)", answer)
    return found.group(1).decode() if found else None


def _configure(settings: Settings, home: Path, address: str) -> None:
    lines: dict[str, object] = {
        "dataDir": f"./{DATA}",
        "clientPortAddress": settings.broker.host,
        "clientPort": address.rpartition(":")[2],
        "tickTime": TICK_MS,
        "admin.enableServer": "false",  # it would listen on all addresses
        "4lw.commands.whitelist": "ruok,srvr",
        "maxClientCnxns": 20,
        "preAllocSize": 1024,  # KB of disk at a time, instead of 64 MB
        "snapCount": 10_000,
        "autopurge.snapRetainCount": 3,
        "autopurge.purgeInterval": 1,
    }
    write_file(home / PROPERTIES, "".join(f"{key}={value}\n" for key, value in lines.items()))
    loggers = "log4j.logger.org.apache.zookeeper.server.ZooKeeperServer=INFO"
    write_file(home / LOG4J, node.LOGGING_OF_OLD.format(file=LOG, loggers=loggers))
    (home / DATA).mkdir(parents=True, exist_ok=True)
    (home / node.SCRATCH).mkdir(parents=True, exist_ok=True)


def _launch(settings: Settings, home: Path, jars: list[Path], address: str, attached: bool) -> None:
    (home / OUT).unlink(missing_ok=True)
    before = (home / LOG).stat().st_size if (home / LOG).is_file() else 0
    with launched(
        [*node.virtual_machine(home, HEAP_MB, LOG4J, "-Dzookeeper.jmx.log4j.disable=true"), MAIN, f"./{PROPERTIES}"],
        known_as=_pid_file(home),
        log=home / OUT,
        environment=node.environment(jars),
        dies_with_parent=attached,
        folder=home,
    ) as (child, mine):
        _wait_ready(settings, home, address, mine, child, before)


def _wait_ready(
    settings: Settings, home: Path, address: str, mine: Identity, child: subprocess.Popen[bytes] | None, before: int = 0
) -> None:
    limit = settings.broker.start_timeout_s
    deadline = time.monotonic() + limit
    while True:
        if (child.poll() is not None) if child is not None else (mine.process() is None):
            words = f"{last_lines(home / LOG, since=before)}\n{last_lines(home / OUT)}".strip()
            raise BrokerError(
                f"ZooKeeper ended at its start. The end of {home / LOG}:\n{words or '(nothing)'}\nCorrect what it says and "
                "start again; its data is kept."
            )
        if serving(address) is not None:
            return
        if time.monotonic() > deadline:
            raise BrokerError(
                f"ZooKeeper (pid {mine.pid}) did not answer at {address} within {limit:g} s. Look at {home / LOG}; a slow "
                "machine may need WATLING_BROKER__START_TIMEOUT_S, one that hangs `watling broker stop`."
            )
        time.sleep(0.05)


def _address(settings: Settings, home: Path) -> str:
    host = settings.broker.host
    last = (_configured(home) or "").rpartition(":")[2]
    return f"{host}:{node.port_as_before(host, last, settings.broker.port)}"


def _configured(home: Path) -> str | None:
    try:
        pairs = [line.partition("=") for line in (home / PROPERTIES).read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None
    values = {key: value for key, _, value in pairs}
    host, port = values.get("clientPortAddress"), values.get("clientPort")
    return f"{host}:{port}" if host and port else None


def _left_running(home: Path) -> Identity | None:
    """This home's own ZooKeeper when its pid file is lost."""
    for process in psutil.process_iter(["cmdline"]):
        try:
            if process.info["cmdline"][-2:] == [MAIN, f"./{PROPERTIES}"] and Path(process.cwd()) == home:
                return identity_of(process.pid)
        except (psutil.Error, OSError, TypeError):
            continue
    return None


def _pid_file(home: Path) -> Path:
    return home / "run" / "zookeeper.json"
