"""What all tests share: a real Kafka broker on a free port and a Spark session, each started once a session."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from watling.broker import node
from watling.config import Settings, load_settings
from watling.errors import WatlingError

# as docs/s3.md tells of stores that are not Amazon's; before PyArrow and Spark's JVM begin, which look only then
os.environ["AWS_REQUEST_CHECKSUM_CALCULATION"] = "when_required"


def free_port() -> int:
    """A port of this machine that nobody has now."""
    return node.free_port("127.0.0.1")


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


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Spark session in this process, which every run of the engine spark here uses. Skips where no JDK fits."""
    from watling.pipeline.engines.spark import session

    try:
        session.check()
    except WatlingError as error:
        pytest.skip(error.message)
    home = tmp_path_factory.mktemp("spark")
    found = session.open_session(load_settings(home=home), "local[2]", "tests")
    yield found
    found.stop()


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """True as soon as the condition holds, False when the time is over."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()
