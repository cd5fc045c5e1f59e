"""Receives the examples of a command; gives them as the end of its help."""

from __future__ import annotations


def examples(*lines: tuple[str, str]) -> str:
    """`(command, what it does)` pairs as an epilog that keeps its lines."""
    width = max(len(command) for command, _ in lines)
    body = "\n".join(f"  {command.ljust(width)}  {what}".rstrip() for command, what in lines)
    return f"\b\nExamples:\n{body}"
