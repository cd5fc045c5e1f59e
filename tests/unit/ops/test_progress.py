"""What a process tells, and how others know that it still means something."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from watling.config import Settings, load_settings
from watling.ops import progress


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path)


def test_what_was_told_is_read_with_its_age(settings: Settings) -> None:
    """If this fails, status and page have no numbers."""
    assert progress.publish(settings, "pipeline", {"streams": {"vehicle": {"rate": 1.5}}})
    told = progress.read(settings, "pipeline")
    assert told is not None
    assert told.body["streams"]["vehicle"]["rate"] == 1.5
    assert told.running
    assert told.fresh
    assert told.age_s < 5


def test_a_dead_process_is_known_as_dead(settings: Settings) -> None:
    """If this fails, the numbers of a crashed pipeline are shown as live."""
    code = f"from watling.config import load_settings; from watling.ops import progress; progress.publish(load_settings(home={str(settings.home)!r}), 'pipeline', {{'a': 1}})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    told = progress.read(settings, "pipeline")
    assert told is not None
    assert told.body["a"] == 1
    assert not told.running
    assert not told.fresh


def test_one_that_lives_but_is_silent_is_not_fresh(settings: Settings) -> None:
    """If this fails, a pipeline that hangs looks well."""
    progress.publish(settings, "pipeline", {})
    path = settings.home / "run" / "pipeline.json"
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, "at": body["at"] - progress.STALE_S - 1}))
    told = progress.read(settings, "pipeline")
    assert told is not None
    assert told.running
    assert not told.fresh


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}', "\x00"])
def test_rubbish_is_nothing(settings: Settings, text: str) -> None:
    """If this fails, a torn file takes status and page down."""
    (settings.home / "run").mkdir(parents=True)
    (settings.home / "run" / "pipeline.json").write_text(text)
    assert progress.read(settings, "pipeline") is None


def test_parts_are_read_together_and_only_the_own_is_withdrawn(settings: Settings) -> None:
    """If this fails, two writers of different streams hide each other, or one that ends hides the other."""
    progress.publish(settings, "pipeline-gps", {"n": 1})
    progress.publish(settings, "pipeline-vehicle", {"n": 2})
    progress.publish(settings, "up", {"n": 3})
    assert sorted(p.body["n"] for p in progress.read_all(settings, "pipeline")) == [1, 2]
    progress.withdraw(settings, "pipeline-gps")
    assert [p.body["n"] for p in progress.read_all(settings, "pipeline")] == [2]
    path = settings.home / "run" / "pipeline-vehicle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pid": 1}))
    progress.withdraw(settings, "pipeline-vehicle")
    assert path.is_file()


def test_a_home_that_cannot_be_written_does_not_stop_the_work(tmp_path: Path) -> None:
    """If this fails, a full disk ends a pipeline that only wanted to tell how it goes."""
    (tmp_path / "run").write_text("a file where the folder should be")
    assert not progress.publish(load_settings(home=tmp_path), "pipeline", {})
