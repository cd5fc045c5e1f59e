"""What tests of Spark share: a JDK or a skip that says so, one session for all, cities of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.integration.pipeline.conftest import city, make_city  # noqa: F401 - fixtures
from watling.config import load_settings
from watling.pipeline.engines.spark import java, session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark_java() -> java.Jdk:
    """The JDK that Spark runs on."""
    try:
        return session.check()
    except java.NoJava as error:
        pytest.skip(f"no JDK for Spark on this machine: {error.message}")


@pytest.fixture(scope="session")
def spark(spark_java: java.Jdk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one session of this process."""
    opened = session.open_session(load_settings(home=tmp_path_factory.mktemp("spark")), "local[2]")
    yield opened
    opened.stop()
