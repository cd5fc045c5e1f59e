"""Receives the settings or a home; gives the release of Kafka that runs there: today's, or the last one with ZooKeeper."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from watling.config import Settings

PROPERTIES = "broker/server.properties"  # relative to the home, of either release: a home runs one broker


@dataclass(frozen=True, slots=True)
class Release:
    """One Kafka. Paths are relative to the home: `data` is where it keeps records, `folder` all that it keeps.

    `lock` names the committed list of its jars, `logging` the file that says how it logs.
    """

    coordination: Literal["kraft", "zookeeper"]
    version: str
    lock: str
    folder: str
    data: str
    logging: str


KRAFT = Release("kraft", "4.4.0", "kafka-4.4", "broker/data", "broker/data", "broker/log4j2.yaml")
ZOOKEEPER = Release(
    "zookeeper", "3.9.2", "kafka-3.9", "broker/zookeeper", "broker/zookeeper/kafka", "broker/log4j.properties"
)
RELEASES = {release.coordination: release for release in (KRAFT, ZOOKEEPER)}


def chosen(settings: Settings) -> Release:
    """The release that the settings ask for."""
    return RELEASES[settings.broker.coordination]


def started_last(home: Path) -> Release | None:
    """The release that the home's broker was started with last; None before the first start."""
    try:
        text = (home / PROPERTIES).read_text(encoding="utf-8")
    except OSError:
        return None
    return ZOOKEEPER if re.search(r"^zookeeper\.connect=", text, re.M) else KRAFT


def holding_data(home: Path) -> list[Release]:
    """The releases whose records are in this home."""
    return [release for release in RELEASES.values() if (home / release.data / "meta.properties").is_file()]
