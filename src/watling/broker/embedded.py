"""Receives the settings; runs Apache Kafka itself on this machine as a child process, loopback only.

One node: with KRaft broker and controller in one, or Kafka 3.9 beside a ZooKeeper of its own. Everything it writes is in `WATLING_HOME`. It is started detached
(`watling broker start`) or as a child that ends with its supervisor (`watling up`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from watling.broker import archive, jars, node, preflight, zookeeper
from watling.broker.errors import BrokerError
from watling.broker.ready import wait_ready
from watling.broker.releases import KRAFT, ZOOKEEPER, Release, chosen, started_last
from watling.config import Settings
from watling.ops.process import Identity, LockHeld, disk_bytes, exclusive, launched, read_identity, write_identity
from watling.ops.process import stop as stop_process

TERM_S = 20.0
TRIES = 3  # of a controller port, which another process may take between our look and Kafka's

# A killed broker's place in ZooKeeper, which the next one has to wait for
STILL_THERE = "NodeExistsException"
AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """The embedded broker as it is now. Bytes and seconds; None for what is not known while it is down.

    `crashed` is true when it was started and is gone without having been stopped. `zookeeper` is None with KRaft.
    """

    running: bool
    address: str
    pid: int | None = None
    port: int | None = None
    version: str = KRAFT.version
    uptime_s: float | None = None
    rss_bytes: int | None = None
    data_bytes: int | None = None
    cluster_id: str | None = None
    crashed: bool = False
    coordination: str = KRAFT.coordination
    zookeeper: zookeeper.ZooKeeperStatus | None = None


def start(settings: Settings, progress: jars.Progress | None = None, *, attached: bool = False) -> BrokerStatus:
    """Start Kafka and wait until it answers; one that runs already for this home is left as it is.

    Under ZooKeeper that is started before it, and anew beside a broker whose ZooKeeper died.

    `attached`: it ends when the calling thread ends, however that happens; call it from the main thread.
    `progress` is told of each jar that is downloaded.

    Raises:
        BrokerUsageError: an external cluster is configured, or an address beyond this machine.
        BrokerError: the port is taken, the home cannot be written, the disk is full, the broker of this home runs at
            another address, this home's records are those of another coordination, or Kafka died at its start (with the end of its log).
        UnreachableError: the jars could not be downloaded.
    """
    preflight.check_settings(settings)
    home = settings.home.resolve()
    preflight.check_room(home)
    with _one_start(settings, home):
        _start(settings, home, progress, attached)
    return status(settings)


@contextmanager
def _one_start(settings: Settings, home: Path) -> Iterator[None]:
    """One command at a time starts something of this home."""
    limit = settings.broker.start_timeout_s
    try:
        with exclusive(home / "run" / "broker.lock", limit):
            yield
    except LockHeld as held:
        raise BrokerError(
            f"another command (process {held.pid}) has been starting the broker of {home} for more than {limit:g} s. Wait for "
            "it, or end it and start again.",
            pid=held.pid,
        ) from None


def stop(settings: Settings) -> bool:
    """Stop Kafka cleanly, and its ZooKeeper after it: TERM, and KILL when that takes longer than 20 s.

    False when Kafka did not run.
    """
    home = settings.home.resolve()
    known = read_identity(_pid_file(home))
    process = _process(known) or _process(preflight.left_running(home, _port(node.configured_address(home)) or 0))
    if process is not None and not stop_process(process, TERM_S):
        raise BrokerError(f"the broker (pid {process.pid}) does not end, not even by KILL: does its disk hang?")
    if read_identity(_pid_file(home)) == known:  # else it was started anew meanwhile
        _pid_file(home).unlink(missing_ok=True)
        if started_last(home) is ZOOKEEPER or zookeeper.identity(home) is not None:
            zookeeper.stop(home)
    return process is not None


def status(settings: Settings) -> BrokerStatus:
    """What the embedded broker of this home does, without asking Kafka itself."""
    home = settings.home.resolve()
    known = read_identity(_pid_file(home))
    release = started_last(home) or chosen(settings)
    data = home / release.data
    cluster, size = node.cluster_id(home, release), disk_bytes(data) if data.is_dir() else None
    beside = zookeeper.status(home) if release is ZOOKEEPER else None
    process = _process(known)
    try:
        memory = process.memory_info().rss if process is not None else None
    except psutil.NoSuchProcess:
        process, memory = None, None
    if process is None or known is None:
        address = settings.bootstrap_servers
        return BrokerStatus(
            False,
            address,
            version=release.version,
            data_bytes=size,
            cluster_id=cluster,
            crashed=known is not None,
            coordination=release.coordination,
            zookeeper=beside,
        )
    address = node.configured_address(home) or settings.bootstrap_servers
    uptime = round(max(0.0, time.time() - process.create_time()), 1)
    return BrokerStatus(
        True,
        address,
        process.pid,
        _port(address),
        release.version,
        uptime,
        memory,
        size,
        cluster,
        coordination=release.coordination,
        zookeeper=beside,
    )


def identity(settings: Settings) -> Identity | None:
    """The process last started for this home, for a supervisor that watches it."""
    return read_identity(_pid_file(settings.home.resolve()))


def zookeeper_identity(settings: Settings) -> Identity | None:
    """The ZooKeeper last started for this home, for a supervisor that watches it."""
    return zookeeper.identity(settings.home.resolve())


def start_zookeeper(settings: Settings, progress: jars.Progress | None = None, *, attached: bool = False) -> None:
    """Start this home's ZooKeeper alone and wait until it is well; one that runs is left as it is.

    With a broker that runs it is started where that waits for it. Raises as `start` does.
    """
    preflight.check_settings(settings)
    home = settings.home.resolve()
    preflight.check_room(home)
    with _one_start(settings, home):
        running = _process(read_identity(_pid_file(home))) is not None
        if not running:
            preflight.check_data(home, chosen(settings))
        keep = node.configured_zookeeper(home) if running else None
        zookeeper.start(settings, home, jars.resolve(ZOOKEEPER.lock, progress), keep=keep, attached=attached)


def _start(settings: Settings, home: Path, progress: jars.Progress | None, attached: bool) -> None:
    release = chosen(settings)
    running = read_identity(_pid_file(home))
    if _process(running) is None:
        running = preflight.left_running(home, settings.broker.port)
        if running is not None:
            write_identity(_pid_file(home), running)
    if running is not None:
        _check_running(settings, home, running, release)
        if release is ZOOKEEPER:  # detached, for its broker was not ours to end either
            paths = jars.resolve(release.lock, progress)
            zookeeper.start(settings, home, paths, keep=node.configured_zookeeper(home), attached=False)
        wait_ready(settings, home, running, None)
        return
    preflight.check_port(settings)
    preflight.check_data(home, release)
    paths = jars.resolve(release.lock, progress)
    if release is ZOOKEEPER:
        _start_beside_zookeeper(settings, home, paths, attached)
        return
    made = archive.ready()
    for attempt in range(TRIES):
        node.configure(settings, home)
        node.format_data(settings, home, paths, made)
        try:
            _launch(settings, home, paths, made, attached)
            break
        except BrokerError as error:
            preflight.check_port(settings)  # the broker's own port: a message of its own
            if attempt == TRIES - 1 or "Address already in use" not in error.message:
                raise
    if made is None:
        archive.build_in_background(home / "logs" / "broker-archive.log", attached=attached)


def _start_beside_zookeeper(settings: Settings, home: Path, paths: list[Path], attached: bool) -> None:
    deadline = time.monotonic() + settings.broker.start_timeout_s
    before = zookeeper.identity(home)
    try:
        address = zookeeper.start(settings, home, paths, keep=None, attached=attached)
        node.configure(settings, home, address)
        while True:
            try:
                _launch(settings, home, paths, None, attached)
                return
            except BrokerError as error:
                if STILL_THERE not in error.message or time.monotonic() > deadline:
                    raise
            time.sleep(AGAIN_S)
    except BaseException:
        if zookeeper.identity(home) != before:  # nothing half started is left
            zookeeper.stop(home)
        raise


def _check_running(settings: Settings, home: Path, running: Identity, release: Release) -> None:
    """Raises BrokerError when the broker that runs is not the one that the settings name."""
    address, there = node.configured_address(home), started_last(home)
    if address not in (None, settings.bootstrap_servers):
        raise BrokerError(
            f"the broker of {home} runs already, at {address} (pid {running.pid}), not at {settings.bootstrap_servers}. "
            "Stop it first with `watling broker stop`, or set the port back.",
            address=address,
        )
    if there is not None and there is not release:
        raise BrokerError(
            f"the broker of {home} runs already, with {preflight.NAMES[there.coordination]} (pid {running.pid}), not with "
            f"{preflight.NAMES[release.coordination]}. Stop it first with `watling broker stop`, or use it with "
            f"WATLING_BROKER__COORDINATION={there.coordination}.",
            coordination=there.coordination,
        )


def _launch(settings: Settings, home: Path, paths: list[Path], made: Path | None, attached: bool) -> None:
    out = home / node.OUT
    out.unlink(missing_ok=True)  # holds the words of one start only: the log proper is Kafka's, and rolls over
    before = (home / node.LOG).stat().st_size if (home / node.LOG).is_file() else 0
    with launched(
        node.command(settings, home, made),
        known_as=_pid_file(home),
        log=out,
        environment=node.environment(paths),
        dies_with_parent=attached,
        folder=home,
    ) as (child, mine):
        wait_ready(settings, home, mine, child, before)


def _pid_file(home: Path) -> Path:
    return home / "run" / "broker.json"


def _process(identity: Identity | None) -> psutil.Process | None:
    return identity.process() if identity is not None else None


def _port(address: str | None) -> int | None:
    number = (address or "").rpartition(":")[2]
    return int(number) if number.isdigit() else None
