"""Ctrl-C: the first asks, the second ends, and a start that blocks is interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

HEAD = "import sys, threading, time\nfrom watling.cli.signals import stop_on_signals\n"
WAITS = (
    "print('ready', flush=True); asked.event.wait(60); print(asked.by.name, flush=True); sys.exit(asked.exit_code())"
)
DEAF = "print('ready', flush=True); asked.event.wait(60); print('asked', flush=True); time.sleep(60)"
BLOCKS = """
try:
    asked.blocking = True
    print('ready', flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    asked.event.wait(5)
    print('interrupted by', asked.by.name, flush=True)
"""


def start(code: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_the_first_asks_and_says_who_asked(number: signal.Signals, code: int) -> None:
    """If this fails, a script cannot tell Ctrl-C from an orderly end, or nothing stops at all."""
    with start(f"{HEAD}asked = stop_on_signals()\n{WAITS}") as process:
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.readline() == f"{number.name}\n"
        assert process.wait(10) == code


def test_the_second_ends_what_does_not_listen() -> None:
    """If this fails, a hanging command can only be killed from elsewhere."""
    with start(f"{HEAD}asked = stop_on_signals()\n{DEAF}") as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert time.monotonic() - began < 5


def test_a_start_that_blocks_is_interrupted() -> None:
    """If this fails, Ctrl-C while Kafka starts waits a minute."""
    with start(f"{HEAD}asked = stop_on_signals()\n{BLOCKS}") as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert process.stdout.readline() == "interrupted by SIGTERM\n"


def test_many_signals_at_the_busiest_moment_do_not_deadlock() -> None:
    """If this fails, a process hangs for ever when asked to stop while it looks whether it was asked to."""
    busy = "print('ready', flush=True)\nwhile not asked.event.wait(0.0001): pass\nimport os; os._exit(7)"
    for _ in range(5):
        with start(f"{HEAD}asked = stop_on_signals(twice=False)\n{busy}") as process:
            for _ in range(20):
                process.send_signal(signal.SIGINT)
            assert process.wait(10) == 7
