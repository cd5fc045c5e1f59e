"""Receives whatever a command raises; gives the user one clear message on stderr and the script its exit code."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from watling.errors import EXIT_FOUND, EXIT_INTERRUPTED, WatlingError

log = logging.getLogger("watling")


class Commands(TyperGroup):
    """The root of all commands, with the one place where exceptions end."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; anything it raises becomes a message and an exit code."""
        try:
            return super().invoke(ctx)
        except WatlingError as error:
            complain(error.message)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            complain("interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:  # `watling sql … | head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except typer.Exit:
            raise
        except Exception as error:
            if _is_usage(error):
                raise
            complain(f"{type(error).__name__}: {error}. {_where(error)}")
            raise typer.Exit(EXIT_FOUND) from None


def complain(text: str) -> None:
    """One message to stderr."""
    from watling.ops.logs import printable

    sys.stdout.flush()
    sys.stderr.write(f"watling: {printable(text)}\n")


def _is_usage(error: Exception) -> bool:
    """Typer's own errors say what is wrong with the arguments; it prints them, with code 2."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _where(error: Exception) -> str:
    """Log the whole trace, and say where."""
    from watling.ops import logs

    logs.quiet_console()  # the message stands on the terminal already
    files = logs.files()
    if not files:
        from pathlib import Path

        logs.configure(Path(os.environ.get("WATLING_HOME", ".watling")), "watling", console=logging.CRITICAL + 1)
        files = logs.files()
    log.error("unexpected", exc_info=error)
    if not files:
        return "This is a fault of Watling"
    return f"This is a fault of Watling; the full trace is in {files[0].baseFilename}"
