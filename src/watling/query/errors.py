"""Receives nothing; gives the exceptions of SQL over the lake."""

from __future__ import annotations

from watling.errors import UsageError


class QueryError(UsageError):
    """The query cannot be answered as it is: its text, a table, a snapshot, or a limit."""


class QueryTimeout(QueryError):
    """The query took longer than its limit and was stopped."""


class QueryCancelled(QueryError):
    """The query was stopped by whoever asked it."""


class FileGone(QueryError):
    """A file of a table could not be read: maintenance removed it since the table was looked at, or the disk fails."""
