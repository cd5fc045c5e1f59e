"""Receives the settings before a start; gives nothing, or one message about what stands in the way."""

from __future__ import annotations

import ipaddress
import os
import shutil
import time
from pathlib import Path

import psutil

from watling.broker import node
from watling.broker.errors import BrokerError, BrokerUsageError
from watling.broker.releases import PROPERTIES, Release, holding_data
from watling.config import Settings
from watling.ops.process import Identity, identity_of

FREE_BYTES_NEEDED = 1024**3
DYING_S = 3.0
NAMES = {"kraft": "KRaft", "zookeeper": "ZooKeeper"}


def check_settings(settings: Settings) -> None:
    """Raises BrokerUsageError when another cluster is configured, or an address beyond this machine."""
    if not settings.embedded_broker:
        raise BrokerUsageError(
            f"kafka.bootstrap_servers is set to {settings.bootstrap_servers}: that cluster is used and nothing is started "
            "here. Unset it to run the embedded broker.",
        )
    host = settings.broker.host
    try:
        inside = host == "localhost" or ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise BrokerUsageError(
            f"broker.host is {host}: the embedded broker asks nobody who they are, so it listens on this machine alone. "
            "Leave it at 127.0.0.1; for producers elsewhere run a Kafka with TLS and set kafka.bootstrap_servers.",
        )


def check_data(home: Path, release: Release) -> None:
    """Raises BrokerError when this home's records are those of a Kafka that is coordinated otherwise."""
    other = next((r for r in holding_data(home) if r is not release), None)
    if other is None:
        return
    raise BrokerError(
        f"{home / other.folder} holds the records of Kafka {other.version} ({NAMES[other.coordination]}), and Kafka "
        f"{release.version} ({NAMES[release.coordination]}) does not read them. Go on with `watling broker start "
        f"--coordination {other.coordination}` (or WATLING_BROKER__COORDINATION={other.coordination}); to move, let `watling "
        f"run --once` land all that is there, stop that Kafka, move {other.folder} out of the home, start again, and begin "
        "with `watling run --accept-new-topic`.",
        coordination=other.coordination,
    )


def check_room(home: Path) -> None:
    """Raises BrokerError when the home cannot be written or its disk is nearly full."""
    for folder in (home / "broker", home / "logs", home / "run"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise BrokerError(
                f"{folder} cannot be written: {error.strerror}. Choose another home with `--home` or WATLING_HOME."
            ) from None
    free = shutil.disk_usage(home).free
    if free < FREE_BYTES_NEEDED:
        raise BrokerError(
            f"only {free // 1024**2} MB are free at {home}, Kafka needs at least {FREE_BYTES_NEEDED // 1024**2} MB. "
            "Free some, or put the home elsewhere with WATLING_HOME.",
        )


def check_port(settings: Settings) -> None:
    """Raises BrokerError, naming who listens there, when the port cannot be had.

    A process that was killed may hold its port for a moment after it is gone for everybody else: so long it is waited for.
    """
    host, port = settings.broker.host, settings.broker.port
    deadline = time.monotonic() + DYING_S
    while (error := node.refusal(host, port)) is not None and not _named(port) and time.monotonic() < deadline:
        time.sleep(0.1)
    if error is None:
        return
    other = _other_home(port)
    if other is not None:
        raise BrokerError(
            f"{host}:{port} belongs to the broker of another home, {other}. Stop it with `watling --home {other} "
            "broker stop`, or give this home another port with WATLING_BROKER__PORT.",
            port=port,
            home=other,
        )
    raise BrokerError(
        f"{host}:{port} cannot be used: {error.strerror}{_named(port)}. Stop what listens there, choose another port "
        "with WATLING_BROKER__PORT, or use that Kafka with WATLING_KAFKA__BOOTSTRAP_SERVERS.",
        port=port,
    )


def check_zookeeper_port(address: str) -> None:
    """Raises BrokerError, naming who listens there, when ZooKeeper cannot have the address at which a broker waits."""
    host, _, port = address.rpartition(":")
    if not node.is_free(host, int(port)):
        raise BrokerError(
            f"ZooKeeper cannot have {address}, where its broker waits for it{_named(int(port))}. Stop what listens there, or "
            "`watling broker stop`: at the next start both take another port.",
            address=address,
        )


def left_running(home: Path, port: int) -> Identity | None:
    """This home's own broker when it listens there but its pid file is lost."""
    listener = _listener(port)
    if listener is None or _home_of(listener) != home:
        return None
    try:
        return identity_of(listener.pid)
    except psutil.NoSuchProcess:
        return None


def _listener(port: int) -> psutil.Process | None:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return psutil.Process(connection.pid)
    except psutil.Error:
        pass  # another user's, or gone by now
    return None


def _home_of(process: psutil.Process) -> Path | None:
    """The home that an embedded broker works in; None for any other process."""
    try:
        line = process.cmdline()
        return Path(process.cwd()) if line[-2:] == [node.MAIN, PROPERTIES] else None
    except (psutil.Error, OSError):
        return None


def _other_home(port: int) -> Path | None:
    listener = _listener(port)
    return _home_of(listener) if listener is not None else None


def _named(port: int) -> str:
    listener = _listener(port)
    try:
        return f" (by {listener.name()}, pid {listener.pid})" if listener is not None else ""
    except psutil.Error:
        return ""
