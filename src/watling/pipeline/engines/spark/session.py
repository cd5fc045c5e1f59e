"""Receives settings; gives the Spark session that the engine's streams share, never one that starts half.

What could hinder it is looked at first: PySpark, a JDK, the jars that read Kafka (the committed list `spark-4.1`).
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from watling.broker import jars
from watling.config import Settings
from watling.errors import UnreachableError, UsageError
from watling.pipeline.engines.spark import java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

LOCK = "spark-4.1"
CHUNK_RECORDS = 12_000
CHUNK_BYTES = 32 * 1024 * 1024


def check() -> java.Jdk:
    """Everything that a session needs and that can be known without starting one. Gives the JDK.

    Raises:
        UsageError: PySpark is not installed; NoJava: no JDK fits.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise UsageError("PySpark is not installed: `pip install 'watling[spark]'`. The embedded engine needs none.")
    return java.find()


def open_session(settings: Settings, master: str | None = None, name: str = "watling") -> SparkSession:
    """A Spark session by these settings: local by default, UTC, no UI, bound to loopback when it is local.

    A session that this process already has is given as it is. `spark.properties` of the settings win over everything here.

    Raises:
        UsageError: PySpark or a JDK is missing. UnreachableError: the jars cannot be had, or the master does not answer.
    """
    jdk = check()
    found = jars.resolve(LOCK)
    os.environ["JAVA_HOME"] = str(jdk.home)
    os.environ.setdefault("PYSPARK_PYTHON", settings.spark.python or sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    from pyspark.sql import SparkSession

    wanted = master or settings.spark.master
    local = wanted.startswith("local")
    properties = {
        "spark.jars": ",".join(str(path) for path in found),
        "spark.driver.memory": settings.spark.driver_memory,
        "spark.driver.maxResultSize": "0",  # what comes back is bounded by the batch
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
        "spark.executor.extraJavaOptions": "-Duser.timezone=UTC",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(CHUNK_RECORDS),
        "spark.sql.execution.arrow.maxBytesPerBatch": str(CHUNK_BYTES),
        "spark.sql.execution.arrow.useLargeVarTypes": "true",
        "spark.sql.streaming.numRecentProgressUpdates": "10",
        "spark.sql.streaming.stopTimeout": "60000",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.inMemoryColumnarStorage.compressed": "false",  # what is kept between two jobs is compressed already
        "spark.cleaner.referenceTracking.cleanCheckpoints": "false",
        "spark.ui.enabled": str(settings.spark.ui).lower(),
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(_scratch(settings)),
        "spark.sql.warehouse.dir": str(settings.home.resolve() / "spark" / "warehouse"),
        **({"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"} if local else {}),
        **({"spark.archives": settings.spark.archives} if settings.spark.archives else {}),
        **settings.spark.properties,
    }
    if local:
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"  # the UI and every other port listen on loopback only
    builder = SparkSession.builder.appName(name).master(wanted)
    for key, value in properties.items():
        builder = builder.config(key, value)
    try:
        session = builder.getOrCreate()
    except Exception as error:
        raise UnreachableError(
            f"Spark on {wanted} did not start ({type(error).__name__}: {str(error).splitlines()[0][:300]}). "
            f"It ran on Java {jdk.version} in {jdk.home}. Check `spark.master` in `watling config show`, and that "
            "the master runs and that its workers are reached from here."
        ) from error
    session.sparkContext.setLogLevel("ERROR")
    log.info("Spark %s on %s, Java %s in %s", session.version, wanted, jdk.version, jdk.home)
    return session


def _scratch(settings: Settings) -> Path:
    """A folder for what Spark spills, of this process; those of processes that were killed are removed."""
    base = settings.home.resolve() / "spark" / "scratch"
    for old in base.glob("*"):
        if not (old.name.isdecimal() and psutil.pid_exists(int(old.name))):
            shutil.rmtree(old, ignore_errors=True)
    mine = base / str(os.getpid())
    mine.mkdir(parents=True, exist_ok=True)
    return mine


@contextmanager
def session(settings: Settings, master: str | None) -> Iterator[SparkSession]:
    """The process's Spark session: one that was there stays, one that is made here ends here. Signals stay ours.

    Raises:
        UsageError, UnreachableError: as `open_session`.
    """
    check()
    from pyspark import SparkContext

    there = SparkContext._active_spark_context is not None
    handler = signal.getsignal(signal.SIGINT)
    spark = open_session(settings, master)
    if threading.current_thread() is threading.main_thread() and handler is not None:
        signal.signal(signal.SIGINT, handler)  # Spark takes Ctrl-C for itself, and would cancel the batch in hand
    try:
        yield spark
    finally:
        if not there:
            try:
                spark.stop()
            except Exception as error:  # its JVM may be gone
                log.warning("Spark did not stop in order: %s", error)
