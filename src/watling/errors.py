"""Receives nothing; gives every room the root of its exceptions and the exit codes they mean.

A message says what happened, to what, and what to do next. Data travels as attributes.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_DONE = 0
EXIT_FOUND = 1  # the check found something
EXIT_USAGE = 2  # wrong use: options, configuration, contract, SQL
EXIT_UNREACHABLE = 3  # not running or not reachable
EXIT_INTERRUPTED = 130


class WatlingError(Exception):
    """Root of all errors that a user may meet. `exit_code` is what a command ends with."""

    exit_code: ClassVar[int] = EXIT_FOUND

    def __init__(self, message: str, **data: object) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class UsageError(WatlingError):
    """The user asked for something that cannot be: wrong option, file or value."""

    exit_code = EXIT_USAGE


class ConfigError(UsageError):
    """Settings that do not fit. `problems` lists all of them, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("configuration: " + "; ".join(problems), problems=problems)
        self.problems = problems


class UnreachableError(WatlingError):
    """A part that must run does not, or does not answer."""

    exit_code = EXIT_UNREACHABLE
