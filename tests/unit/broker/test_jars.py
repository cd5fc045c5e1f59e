"""Jars are what the committed list says, or are not used."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from watling.broker import jars
from watling.broker.jars import Jar, JarError
from watling.errors import EXIT_USAGE


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with one jar in it, and a list that names it."""
    monkeypatch.setenv("WATLING_CACHE", str(tmp_path))
    folder = tmp_path / "jars" / "made"
    folder.mkdir(parents=True)
    (folder / "a-1.jar").write_bytes(b"content")
    listed = [Jar("g", "a", "1", hashlib.sha256(b"content").hexdigest())]
    monkeypatch.setattr(jars, "read_lock", lambda name: listed)
    return folder


def test_the_committed_list_is_whole() -> None:
    """Kafka, its client and a logger of one version each; a SHA-256 for every jar."""
    listed = jars.read_lock("kafka-4.4")
    names = [f"{jar.group}:{jar.artifact}" for jar in listed]
    assert len(names) == len(set(names)), "one version of each"
    kafka = {jar.version for jar in listed if jar.group == "org.apache.kafka"}
    assert kafka == {"4.4.0"}
    assert "org.apache.logging.log4j:log4j-slf4j-impl" in names
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in listed)


def test_cached_jars_need_no_network(cache: Path) -> None:
    """A train without network is no reason not to start."""
    told: list[str] = []
    assert jars.resolve("made", lambda done, count, name: told.append(name)) == [cache / "a-1.jar"]
    assert jars.cached("made")
    assert not told, "nothing was downloaded"


def test_a_changed_jar_is_refused(cache: Path) -> None:
    """What runs the city's data is what was committed, also after the first check."""
    jars.resolve("made")
    (cache / "a-1.jar").write_bytes(b"changed")
    with pytest.raises(JarError, match=r"SHA-256.*Delete the file") as refused:
        jars.resolve("made")
    assert str(cache / "a-1.jar") in refused.value.message


def test_many_at_once_do_not_spoil_the_cache(cache: Path) -> None:
    """Several commands start at once after a boot."""
    (cache / ".download-left").mkdir()
    results: list[list[Path]] = []
    threads = [threading.Thread(target=lambda: results.append(jars.resolve("made"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [[cache / "a-1.jar"]] * 8
    assert not (cache / ".download-left").exists(), "what a killed download left is cleared"


@pytest.mark.parametrize(("variable", "end"), [("WATLING_CACHE", "x"), ("XDG_CACHE_HOME", "x/watling")])
def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, end: str) -> None:
    """A machine with a small home keeps its cache elsewhere."""
    monkeypatch.delenv("WATLING_CACHE", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "x"))
    assert jars.cache_dir() == tmp_path / end


def test_wrong_use_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback for a forgotten argument."""
    assert jars.main([]) == EXIT_USAGE
    assert "lock GROUP:ARTIFACT:VERSION" in capsys.readouterr().err
