"""What `make demo` does, as a stranger sees it: data flows, the page answers, SQL answers, the audit is clean."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.conftest import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_the_demo_runs_and_its_audit_is_clean(tmp_path: Path) -> None:
    """If this fails, the first thing that anybody tries fails."""
    page = free_port()
    environment = {
        **os.environ,
        "WATLING_HOME": str(tmp_path / "home"),
        "WATLING_BROKER__PORT": str(free_port()),
        "WATLING_PAGE__PORT": str(page),
        "BROWSER": "true",
        "DEMO_DATA": str(ROOT / ".." / "shared" / "data"),
    }
    log = tmp_path / "demo.log"
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [sys.executable, "tools/demo.py", "--seconds", "20", "--vehicles", "300"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

        def page_answers() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{page}/healthz", timeout=2) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        try:
            answered = wait_until(lambda: page_answers() or demo.poll() is not None, 120) and demo.poll() is None
            code = demo.wait(200)
        finally:
            demo.kill()
    said = log.read_text()
    assert answered, said[-3000:]
    assert code == 0, said[-3000:]
    assert "ok   vehicle" in said
    assert "mean_kmh" in said
    left = [
        p.info["pid"]
        for p in psutil.process_iter(["pid", "environ"])
        if (p.info["environ"] or {}).get("WATLING_HOME") == environment["WATLING_HOME"]
    ]
    assert left == []
