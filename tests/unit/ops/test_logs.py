"""Logs: a line of JSON each, without secrets, whatever the message holds; a console that people can read."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watling.ops import logs

SECRET = "correct horse"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in [h for h in root.handlers if h not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def record(message: str, *arguments: object, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("watling.x", level, "x.py", 1, message, arguments, None)


@given(st.text(), st.sampled_from(["", SECRET]))
def test_any_message_is_one_line_of_json_without_the_secret(text: str, secret: str) -> None:
    """If this fails, a log cannot be read by machines, or shows a password."""
    line = logs.JsonLines("pipeline", [SECRET]).format(record("%s", text + secret + text))
    assert "\n" not in line
    body = json.loads(line)
    assert SECRET not in body["message"]
    assert body.keys() >= {"time", "level", "logger", "message", "process", "pid"}


def test_a_trace_is_in_the_file_and_not_on_the_console(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If this fails, users see traces, or nobody does; or a secret stands in one."""
    path = logs.configure(tmp_path, "pipeline", console=logging.WARNING, secrets={SECRET})
    try:
        raise ValueError(f"bad password {SECRET}")
    except ValueError:
        logging.getLogger("watling.x").exception("cannot go on")
    said = capsys.readouterr().err
    assert "cannot go on" in said
    assert "Traceback" not in said
    text = path.read_text()
    assert "Traceback" in json.loads(text)["trace"]
    assert SECRET not in text + said


def test_nothing_is_made_before_the_first_line(tmp_path: Path) -> None:
    """If this fails, looking at the status of a folder leaves a home there."""
    path = logs.configure(tmp_path / "home", "status")
    assert not (tmp_path / "home").exists()
    logging.getLogger("watling.x").info("now")
    assert json.loads(path.read_text())["message"] == "now"


def test_the_file_is_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, a log fills the disk in a year."""
    monkeypatch.setattr(logs, "MAX_BYTES", 2000)
    logs.configure(tmp_path, "pipeline")
    for number in range(200):
        logging.getLogger("watling.x").info("line %d of them", number)
    files = sorted((tmp_path / "logs").iterdir())
    assert len(files) == logs.KEPT + 1
    assert sum(f.stat().st_size for f in files) < 2000 * (logs.KEPT + 2)


def test_a_full_disk_does_not_stop_the_work(tmp_path: Path) -> None:
    """If this fails, a process that could go on dies of its own log."""
    (tmp_path / "logs").write_text("a file where the folder should be")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import logging; from watling.ops import logs; from pathlib import Path\n"
            f"logs.configure(Path({str(tmp_path)!r}), 'x'); logging.getLogger('watling').error('told'); print('went on')",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "went on\n"
    assert "Traceback" not in done.stderr
    assert "told" in done.stderr


def test_what_a_record_holds_cannot_command_the_terminal() -> None:
    """If this fails, a device can write into an operator's terminal."""
    line = logs.Readable((), colour=False).format(record("value %s", "\x1b]0;owned\x07\u202e"))
    assert line.isprintable()
    assert "\\x1b" in line
