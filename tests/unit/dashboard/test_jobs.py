"""Work in a process of its own: it ends, and how it ended is known."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import wait_until
from watling.config import load_settings
from watling.dashboard.jobs import Job, JobRunning, Jobs


def ended(job: Job) -> bool:
    return wait_until(lambda: job.state != "running", 30)


def children() -> list[psutil.Process]:
    """The job processes of this one."""
    return [p for p in psutil.Process().children() if "watling.dashboard.jobs" in " ".join(p.cmdline())]


def test_a_fault_is_told_in_its_own_words(tmp_path: Path) -> None:
    """Who pressed the button must read what to do, not that something failed."""
    jobs = Jobs(load_settings(home=tmp_path))
    job = jobs.start("replay", streams=["no"], reasons=None)
    assert ended(job)
    assert (job.state, job.result) == ("failed", None)
    assert "no such stream: no" in (job.error or "")
    assert jobs.get(job.id) is job


def test_work_without_end_is_ended(tmp_path: Path) -> None:
    """A job that hangs must not block the button for ever, nor stay behind as a process."""
    jobs = Jobs(load_settings(home=tmp_path), longest_s=0.2)
    job = jobs.start("audit")
    with pytest.raises(JobRunning):
        jobs.start("audit")
    assert ended(job)
    assert job.state == "failed"
    assert "longer than" in (job.error or "")
    assert children() == []
    jobs.start("audit")
    jobs.close()
    assert children() == []


def test_a_process_that_dies_is_noticed(tmp_path: Path) -> None:
    """A job killed by the system (memory) must not look as if it still ran, or had been done."""
    jobs = Jobs(load_settings(home=tmp_path))
    job = jobs.start("audit")
    assert wait_until(lambda: bool(children()), 10)
    time.sleep(0.1)
    children()[0].kill()
    assert ended(job)
    assert job.state == "failed"
    assert "ended with -9" in (job.error or "")
