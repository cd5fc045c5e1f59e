"""Receives this machine's folders; gives the JDK that Spark can run on, or says how to get one.

Spark 4.1 needs Java 17 or later with the module `jdk.incubator.vector`, which a full JDK has and the runtime that
comes with Watling for the broker does not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from watling.errors import UsageError

OLDEST = 17
TESTED = (17, 21, 25)  # the versions of Java with long support that Spark 4.1 is built for, best first
MODULE = "jdk.incubator.vector"
ASK_TIMEOUT_S = 20
FOLDERS = (
    "/usr/lib/jvm",
    "/usr/java",
    "/opt/java",
    "/opt",
    "/Library/Java/JavaVirtualMachines",
    "~/.sdkman/candidates/java",
    "~/.jdks",
)
HOW = (
    "Install one (Debian, Ubuntu: `apt-get install openjdk-17-jdk-headless`; Fedora: `dnf install java-21-openjdk-headless`; "
    "macOS: `brew install openjdk@21`; any: Temurin from adoptium.net) and set JAVA_HOME to its folder. "
    "`watling run` without `--engine spark` needs none."
)


class NoJava(UsageError):
    """No Java on this machine can run Spark."""


@dataclass(frozen=True, slots=True)
class Jdk:
    """A Java that Spark can run on: its folder (what JAVA_HOME names) and its feature version."""

    home: Path
    version: int


def find() -> Jdk:
    """The JDK to run Spark on: JAVA_HOME's if that fits, else the one on PATH, else one in the usual folders.

    Raises:
        NoJava: naming what was found and why it does not do.
    """
    refused = []
    fitting: list[Jdk] = []
    seen: set[Path] = set()
    for home, chosen in _candidates():
        if home in seen:
            continue
        seen.add(home)
        found = _examine(home)
        if isinstance(found, str):
            refused.append(found)
        elif chosen:
            return found
        else:
            fitting.append(found)
    if fitting:
        return min(fitting, key=lambda j: (j.version not in TESTED, j.version))
    what = "; ".join(refused) if refused else "there is no Java on this machine"
    raise NoJava(f"Spark needs a full JDK {OLDEST} or later with {MODULE}: {what}. {HOW}")


def _candidates() -> Iterator[tuple[Path, bool]]:
    """(folder, whether the user chose it), each with a `bin/java`."""
    if named := os.environ.get("JAVA_HOME"):
        yield Path(named).expanduser().resolve(), True
    if on_path := shutil.which("java"):
        yield Path(on_path).resolve().parent.parent, True
    for folder in FOLDERS:
        base = Path(folder).expanduser()
        for home in sorted(base.glob("*")) if base.is_dir() else ():
            for inner in (home, home / "Contents" / "Home"):
                if (inner / "bin" / "java").is_file():
                    yield inner.resolve(), False


def _examine(home: Path) -> Jdk | str:
    """The JDK there, or why it is none that Spark can use."""
    java = home / "bin" / ("java.exe" if sys.platform == "win32" else "java")
    if not java.is_file():
        return f"{home} has no bin/java"
    try:
        answer = _ask(java, "-version")
        match = re.search(r'version "(\d+)', answer)
        version = int(match[1]) if match else 0
        if version < OLDEST:
            return f"{home} is Java {version or 'of an unknown version'}"
        if not re.search(rf"^{re.escape(MODULE)}\b", _ask(java, "--list-modules"), re.M):
            return f"{home} is Java {version} without {MODULE}"
    except (OSError, subprocess.SubprocessError) as error:
        return f"{java} does not run ({type(error).__name__})"
    return Jdk(home, version)


def _ask(java: Path, question: str) -> str:
    done = subprocess.run([str(java), question], capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=True)
    return done.stdout + done.stderr
