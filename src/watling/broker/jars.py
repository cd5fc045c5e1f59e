"""Receives the name of a committed list of jars; gives their paths, downloaded by coordinates and checked by SHA-256.

A list (`jars-*.lock`) has a line a jar: `group:artifact:version sha256`. It is one of this package, by its name, or a
file. Jars are kept in a cache that all homes of a user share, and are used from there without a network.

`python -m watling.broker.jars fetch kafka-4.4` downloads beforehand. `python -m watling.broker.jars lock
GROUP:ARTIFACT:VERSION… > jars-NAME.lock` makes a list anew.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from watling.errors import EXIT_DONE, EXIT_USAGE, UnreachableError, WatlingError
from watling.ops.process import LockHeld, exclusive, write_file

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


def read_lock(name: str | Path) -> list[Jar]:
    """The jars of a committed list, for example `kafka-4.4`, or of a file `jars-NAME.lock` elsewhere."""
    file = name if isinstance(name, Path) else resources.files("watling.broker").joinpath(f"jars-{name}.lock")
    text = file.read_text(encoding="utf-8")
    jars = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            coordinates, sha256 = line.split()
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group, artifact, version, sha256))
    return jars


def cached(name: str | Path) -> bool:
    """True when every jar of the list is in the cache (their content is checked by `resolve`)."""
    return all((_folder(name) / jar.filename).is_file() for jar in read_lock(name))


def resolve(name: str | Path, progress: Progress | None = None) -> list[Path]:
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
    try:
        with exclusive(folder / ".lock", LOCK_WAIT_S):
            _fill(folder, jars, progress)
            write_file(checked, _stamp(folder, jars))
    except LockHeld as held:
        raise UnreachableError(
            f"process {held.pid} has been downloading into {folder} for {LOCK_WAIT_S} s. End it and start again."
        ) from None
    return [folder / jar.filename for jar in jars]


def _fill(folder: Path, jars: list[Jar], progress: Progress | None) -> None:
    """Download what is missing and check all."""
    for left in folder.glob(".download-*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    missing = [jar for jar in jars if not (folder / jar.filename).is_file()]
    done = len(jars) - len(missing)
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        waiting = [pool.submit(_download, jar, folder) for jar in missing]
        try:
            for finished in as_completed(waiting):
                jar = finished.result()
                done += 1
                if progress:
                    progress(done, len(jars), jar.filename)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # the first fault is the message
            raise
    for jar in jars:
        _check(jar, folder / jar.filename)


def _folder(name: str | Path) -> Path:
    return cache_dir() / "jars" / (name.stem.removeprefix("jars-") if isinstance(name, Path) else name)


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
            with found.open("rb") as file:
                os.fsync(file.fileno())
            found.replace(folder / jar.filename)  # same file system
            return jar
    raise AssertionError("unreachable")


def make_lock(coordinates: str) -> dict[str, str]:
    """{group:artifact:version: SHA-256} of a coordinate and what it needs at run time.

    One coordinate a call: several at once mix the versions that each of them manages.
    """
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
        return {f"{a.groupId}:{a.artifactId}:{a.version}": sha256_of(a.resolve()) for a in artifacts}


def lock_text(wanted: list[str]) -> str:
    """A list for several coordinates, each resolved alone; of a jar that two of them need, the first one's version."""
    found: dict[str, str] = {}
    for coordinates in wanted:
        there = {name.rpartition(":")[0] for name in found}
        found.update({k: v for k, v in make_lock(coordinates).items() if k.rpartition(":")[0] not in there})
    head = f"# made by `python -m watling.broker.jars lock {' '.join(wanted)}`\n"
    return head + "".join(f"{name} {sha256}\n" for name, sha256 in sorted(found.items()))


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """`lock COORDINATES…` writes a list to standard output; `fetch NAME` downloads the jars of a committed one."""
    match arguments:
        case ["lock", first, *more]:
            _say(lock_text([first, *more]))
        case ["fetch" | "--fetch", name]:
            resolve(name, lambda done, count, jar: _say(f"\rjars {done}/{count} {jar:40.40}"))
            _say(f"\r{'':60}\rjars of {name} are in {_folder(name)}\n")
        case _:
            sys.stderr.write("use: python -m watling.broker.jars lock GROUP:ARTIFACT:VERSION… | fetch NAME\n")
            return EXIT_USAGE
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
