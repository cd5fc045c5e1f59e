"""Receives a Kafka that was started; waits until it answers, or tells why it died."""

from __future__ import annotations

import logging
import re
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from watling.broker import admin, node
from watling.broker.errors import BrokerError, BrokerUnreachable
from watling.broker.releases import ZOOKEEPER, chosen
from watling.config import Settings
from watling.errors import WatlingError
from watling.ops.process import Identity, last_lines

log = logging.getLogger(__name__)
TOPICS_S = 15.0

HINTS = (  # what the log says -> what to do
    ("No space left on device", "Free some of the disk, or put the home elsewhere with WATLING_HOME."),
    ("Failed to acquire lock", "Another Kafka works on this data: end it, or use another home."),
    ("OutOfMemoryError", "Give it more with WATLING_BROKER__HEAP_MB."),
    ("Could not reserve enough space", "The machine has too little memory free: lower WATLING_BROKER__HEAP_MB."),
    (
        "Address already in use",
        "Another process took the port in the meantime: start again, or set WATLING_BROKER__PORT.",
    ),
)


def wait_ready(
    settings: Settings, home: Path, mine: Identity, child: subprocess.Popen[bytes] | None, before: int = 0
) -> None:
    """Wait until this home's Kafka, and nobody else's, answers and knows its topics. `before`: the log's size at its start.

    Raises:
        BrokerError: it died (with the end of its log), takes too long, or another Kafka answers.
    """
    release = chosen(settings)
    limit = settings.broker.start_timeout_s
    deadline = time.monotonic() + limit
    while True:
        ended = child.poll() is not None if child is not None else mine.process() is None
        if ended:
            raise _death(home, child.returncode if child is not None else None, before)
        try:
            with socket.create_connection((settings.broker.host, settings.broker.port), timeout=1):
                pass
            answered = admin.ping(settings, timeout_s=2.0)
        except (OSError, BrokerUnreachable):
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"Kafka (pid {mine.pid}) did not answer at {settings.bootstrap_servers} within {limit:g} s. Look at "
                    f"{home / node.LOG}; a slow machine may need WATLING_BROKER__START_TIMEOUT_S, one that hangs "
                    "`watling broker stop`.",
                ) from None
            time.sleep(0.05)
            continue
        if answered != node.cluster_id(home, release):
            raise BrokerError(
                f"another Kafka (cluster {answered}) answers at {settings.bootstrap_servers}. Stop it, or choose another port "
                "with WATLING_BROKER__PORT.",
            )
        if release is ZOOKEEPER and not _knows_topics(settings, home, min(deadline, time.monotonic() + TOPICS_S)):
            log.warning("Kafka has folders of topics that it does not name: they may be about to be deleted")
        return


def _knows_topics(settings: Settings, home: Path, deadline: float) -> bool:
    """Wait until Kafka names the topics that it has folders of: under ZooKeeper it answers before it has heard of them."""
    folders = (home / ZOOKEEPER.data).glob("*-*")
    wanted = {found.group(1) for folder in folders if (found := re.fullmatch(r"(.+)-\d+", folder.name))}
    while True:
        with suppress(WatlingError):
            if admin.brokers(settings) and wanted <= admin.topic_ids(settings, wanted).keys():
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


def _death(home: Path, code: int | None, before: int) -> BrokerError:
    path = home / node.LOG
    words = last_lines(path, since=before)
    if "Exception" not in words and "ERROR" not in words:  # Java itself may have refused
        words = f"{words}\n{last_lines(home / node.OUT)}".strip()
    todo = next(
        (hint for mark, hint in HINTS if mark in words), "Correct what it says and start again; its data is kept."
    )
    ended = "Kafka ended at its start" + (f" (code {code})" if code is not None else "")
    return BrokerError(f"{ended}. The end of {path}:\n{words or '(nothing)'}\n{todo}", code=code)
