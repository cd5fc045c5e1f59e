"""Receives the name of a committed list of jars; gives their paths, downloaded by coordinates and checked by SHA-256.

A list (`jars-*.lock`) has a line a jar: `group:artifact:version sha256`. Jars are kept in a cache that all homes of a
user share, and are used from there without a network.

`python -m watling.broker.jars --fetch kafka-4.4` downloads beforehand. To make a list anew: `python -m watling.broker.jars GROUP:ARTIFACT:VERSION > jars-NAME.lock` (one coordinate a call: several
at once mix the versions that each of them manages).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from watling.errors import UnreachableError, WatlingError

TRIES = 4
DOWNLOADS_AT_ONCE = 4
LOCK_WAIT_S = 600

Progress = Callable[[int, int, str], None]
"""(jars done, jars in all, name of the last one)."""


class JarError(WatlingError):
    """A jar is not what the committed list says."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of a list."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        """Name of the file in the cache."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def coordinates(self) -> str:
        """`group:artifact:version`."""
        return f"{self.group}:{self.artifact}:{self.version}"


def cache_dir() -> Path:
    """Where jars are kept: `WATLING_CACHE`, else the user's cache folder."""
    if chosen := os.environ.get("WATLING_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "watling"


def read_lock(name: str) -> list[Jar]:
    """The jars of a committed list, for example `kafka-4.4`."""
    text = resources.files("watling.broker").joinpath(f"jars-{name}.lock").read_text(encoding="utf-8")
    jars = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            coordinates, sha256 = line.split()
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group, artifact, version, sha256))
    return jars


def cached(name: str) -> bool:
    """True when every jar of the list is in the cache (their content is checked by `resolve`)."""
    return all((_folder(name) / jar.filename).is_file() for jar in read_lock(name))


def resolve(name: str, progress: Progress | None = None) -> list[Path]:
    """Paths of the list's jars, in its order; downloads what is missing. Several processes may call at once.

    Raises:
        UnreachableError: a jar could not be had.
        JarError: what was downloaded, or lies in the cache, has another checksum.
    """
    jars = read_lock(name)
    folder = _folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    checked = folder / ".checked"  # the checksums were right for these sizes and times
    stamp = _stamp(folder, jars)
    if stamp and checked.is_file() and checked.read_text() == stamp:
        return [folder / jar.filename for jar in jars]
    with _locked(folder / ".lock"):
        missing = [jar for jar in jars if not (folder / jar.filename).is_file()]
        done = len(jars) - len(missing)
        with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
            for jar in pool.map(lambda j: _download(j, folder), missing):
                done += 1
                if progress:
                    progress(done, len(jars), jar.filename)
        for jar in jars:
            _check(jar, folder / jar.filename)
        temporary = folder / ".checked.tmp"
        temporary.write_text(_stamp(folder, jars))
        temporary.replace(checked)
    return [folder / jar.filename for jar in jars]


def _folder(name: str) -> Path:
    return cache_dir() / "jars" / name


def _stamp(folder: Path, jars: list[Jar]) -> str:
    """Changes when a file or the list does; empty when a jar is missing."""
    parts = []
    for jar in jars:
        try:
            stat = (folder / jar.filename).stat()
        except FileNotFoundError:
            return ""
        parts.append(f"{jar.sha256} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _check(jar: Jar, path: Path) -> None:
    digest = sha256_of(path)
    if digest != jar.sha256:
        raise JarError(
            f"{path} is not {jar.coordinates}: its SHA-256 is {digest}, the committed list says {jar.sha256}. "
            "It is not used. Delete the file and start again; if it comes back the same, do not trust where it came from.",
            path=str(path),
        )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(jar: Jar, folder: Path) -> Jar:
    from jgo.maven import MavenContext

    for attempt in range(TRIES):
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
            try:
                context = MavenContext(repo_cache=Path(scratch), timeout=60)
                found = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
            except Exception as error:
                if attempt == TRIES - 1:
                    raise UnreachableError(
                        f"{jar.coordinates} could not be downloaded ({type(error).__name__}: {error}). Check the network and "
                        "start again; what is there already is kept.",
                    ) from error
                time.sleep(2**attempt * random.uniform(0.5, 1.0))  # noqa: S311
                continue
            _check(jar, found)
            shutil.move(found, folder / jar.filename)  # same file system: a rename
            return jar
    raise AssertionError("unreachable")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UnreachableError(
                        f"another process has been downloading into {path.parent} for too long; end it"
                    ) from None
                time.sleep(0.2)
        yield


def make_lock(coordinates: str) -> list[str]:
    """Lines of a list for a coordinate and what it needs at run time."""
    from jgo.maven import MavenContext

    group, artifact, version = coordinates.split(":")
    with tempfile.TemporaryDirectory() as scratch:
        context = MavenContext(repo_cache=Path(scratch), timeout=60)
        component = context.project(group, artifact).at_version(version)
        _, nodes = context.pom_dependency_list(component.pom())
        artifacts = [component.artifact()]
        for node in nodes:
            if node.dep.scope in ("compile", "runtime") and node.dep.type == "jar" and not node.dep.optional:
                artifacts.append(node.dep.artifact)
        return sorted({f"{a.groupId}:{a.artifactId}:{a.version} {sha256_of(a.resolve())}" for a in artifacts})


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main(arguments: list[str]) -> None:
    """`COORDINATES` writes a list to standard output; `--fetch NAME` downloads those of a committed one."""
    if arguments[:1] == ["--fetch"]:
        resolve(arguments[1], lambda done, count, name: _say(f"\rjars {done}/{count} {name:40.40}"))
        _say(f"\r{'':60}\rjars of {arguments[1]} are in {_folder(arguments[1])}\n")
        return
    sys.stdout.write(f"# jars of {arguments[0]}, made by `python -m watling.broker.jars {arguments[0]}`\n")
    sys.stdout.write("\n".join(make_lock(arguments[0])) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
