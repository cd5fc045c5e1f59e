"""Receives nothing; gives the lake's exceptions."""

from __future__ import annotations

from typing import ClassVar

from watling.errors import UnreachableError, UsageError, WatlingError


class LakeError(WatlingError):
    """Something about the tables is not as it must be."""


class LakeUnreachable(UnreachableError):
    """The catalog or the store does not answer."""


class LakeSettingsError(UsageError):
    """The lake's settings do not fit."""


class FencedError(WatlingError):
    """Another writer has claimed the stream since. This one must stop and must not be restarted by a supervisor."""

    exit_code: ClassVar[int] = 4

    def __init__(self, stream: str, owner: str, epoch: int, mine: int) -> None:
        super().__init__(
            f"stream {stream}: fenced. {owner} claimed it (epoch {epoch}, mine was {mine}). "
            "Nothing is lost: the new owner goes on from the last commit. Stop this writer, or take the stream back "
            "with `watling run --take-over`.",
            stream=stream,
            owner=owner,
            epoch=epoch,
        )


class StateMissing(LakeError):
    """A table has snapshots but none of its ancestors carries Watling's state: never read from the earliest."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"table {table} has snapshots but no Watling state (offsets) in any of them. Reading its topic from the start "
            "would double rows, so nothing is done. Roll the table back to a snapshot with `watling.state` in its summary, "
            "or move the table away and let Watling make it anew.",
            table=table,
        )


class StateConflict(LakeError):
    """The table's next offset is not where this batch begins, although the writer is still the owner."""


class StaleBatch(LakeError):
    """A batch waited longer than half the orphan age: its data files may be removed by maintenance before it commits."""


class NotWritten(LakeError):
    """Rejected rows could not be written (a full disk, a store that is away): nothing of the batch is committed yet."""


class Overtaken(LakeError):
    """Quarantine replay landed rows while this batch was judged: it must be judged again, against them too."""
