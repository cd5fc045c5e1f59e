"""What all tests share: a real Kafka broker, started once a session on a free port."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from watling.config import Settings, load_settings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a home whose embedded broker runs; it ends with the session, however that ends."""
    from watling.broker import embedded

    home: Path = tmp_path_factory.mktemp("kafka")
    settings = load_settings(home=home, broker={"port": free_port()})
    embedded.start(settings, attached=True)
    try:
        yield settings
    finally:
        embedded.stop(settings)
