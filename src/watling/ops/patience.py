"""Receives what failed and is tried again; gives the pauses between, longer each time."""

from __future__ import annotations

import random
import threading


class Patience:
    """Pauses of `first_s`, twice that, …, `longest_s`, each half as long or half as much again by chance. For one thread."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = self._next_s = first_s
        self._longest_s = longest_s

    def wait(self, stop: threading.Event) -> bool:
        """Pause before the next try. True when `stop` is set."""
        pause, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return stop.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    def over(self) -> None:
        """It works again: the next pause is the first."""
        self._next_s = self._first_s
