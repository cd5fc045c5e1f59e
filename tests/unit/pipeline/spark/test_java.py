"""Finding a JDK for Spark, among programs that answer as each Java does."""

from __future__ import annotations

from pathlib import Path

import pytest

from watling.pipeline.engines.spark import java


def make(folder: Path, version: str, *modules: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "java"
    lines = "\n".join(f"echo {m}" for m in modules) or ":"
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = -version ]; then echo \'openjdk version "{version}" 2026-01-01\' >&2; else\n{lines}\nfi\n'
    )
    program.chmod(0o755)
    return folder


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin-that-is-not-there")
    monkeypatch.setattr(java, "FOLDERS", (str(tmp_path / "jvm"),))


def test_the_one_that_the_user_names_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody with several JDKs decides by JAVA_HOME."""
    make(tmp_path / "jvm" / "a", "17.0.1", java.MODULE + "@17")
    named = make(tmp_path / "mine", "21.0.2", java.MODULE + "@21")
    monkeypatch.setenv("JAVA_HOME", str(named))
    assert java.find() == java.Jdk(named.resolve(), 21)


def test_one_that_does_not_fit_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old Java on PATH must not stop a machine that also has a new one."""
    old = make(tmp_path / "old", "11.0.9", java.MODULE + "@11")
    bare_runtime = make(tmp_path / "jvm" / "a", "25.0.1", "java.base@25")
    right = make(tmp_path / "jvm" / "b", "17.0.3", "java.base@17", java.MODULE + "@17")
    monkeypatch.setenv("JAVA_HOME", str(bare_runtime))
    monkeypatch.setenv("PATH", f"{old / 'bin'}:/bin:/usr/bin")
    assert java.find() == java.Jdk(right.resolve(), 17)


def test_without_one_the_message_says_what_was_found_and_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`watling run --engine spark` on a machine without a JDK must end with something to do."""
    monkeypatch.setenv("JAVA_HOME", str(make(tmp_path / "x", "25.0.1", "java.base@25")))
    with pytest.raises(java.NoJava, match=r"without jdk.incubator.vector.*apt-get install openjdk-17"):
        java.find()
