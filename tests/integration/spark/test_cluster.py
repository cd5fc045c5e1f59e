"""A standalone cluster: a master and two workers in processes of their own, and the command as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import free_port, wait_until
from tests.integration.pipeline.test_exactly_once import mixed
from tests.integration.spark.conftest import SparkCity

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


@contextmanager
def daemon(folder: Path, name: str, *arguments: str) -> Iterator[None]:
    """One of Spark's own daemons, on loopback, for as long as it is needed."""
    import pyspark

    from watling.pipeline.engines.spark import session

    environment = {
        **os.environ,
        "JAVA_HOME": str(session.check().home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_WORKER_DIR": str(folder / "work"),
    }
    command = [
        str(Path(pyspark.__file__).parent / "bin" / "spark-class"),
        f"org.apache.spark.deploy.{name}",
        *arguments,
    ]
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:
            one.kill()
        process.wait(30)


def workers(port: int) -> int:
    """How many workers the master counts as alive."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/", timeout=5) as answer:
            return int(json.load(answer)["aliveworkers"])
    except OSError:
        return 0


@pytest.fixture
def master(spark: Any, tmp_path: Path) -> Iterator[str]:
    """The URL of a master with two workers of one core each."""
    port, page = free_port(), free_port()
    url = f"spark://127.0.0.1:{port}"
    with ExitStack() as stack:
        where = ("--host", "127.0.0.1", "--webui-port")
        stack.enter_context(daemon(tmp_path, "master.Master", *where, str(page), "--port", str(port)))
        assert wait_until(lambda: psutil_listens(port), 90), (tmp_path / "master.Master.log").read_text()[-2000:]
        for _ in range(2):
            size = ("--cores", "1", "--memory", "1g")
            stack.enter_context(daemon(tmp_path, "worker.Worker", *where, str(free_port()), *size, url))
        assert wait_until(lambda: workers(page) == 2, 90), (tmp_path / "worker.Worker.log").read_text()[-2000:]
        yield url


def psutil_listens(port: int) -> bool:
    return any(c.laddr.port == port and c.status == psutil.CONN_LISTEN for c in psutil.net_connections("tcp"))


def test_a_cluster_lands_a_stream_and_the_audit_is_clean(city: SparkCity, master: str) -> None:
    """What works with `local[*]` must not fail for want of something that only the driver has."""
    city.send("vehicle", mixed(3000))
    environment = {
        **os.environ,
        **city.environment,
        "WATLING_SPARK__PROPERTIES": json.dumps({"spark.driver.host": "127.0.0.1", "spark.executor.memory": "512m"}),
    }
    command = [sys.executable, "-m", "watling", "run", "--engine", "spark", "--master", master, "--once", "--json"]
    ended = subprocess.run(
        [*command, "--stream", "vehicle"], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert json.loads(ended.stdout)["streams"]["vehicle"]["landed"] == 3000
    city.assert_clean()
