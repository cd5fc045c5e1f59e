"""Receives what is wrong with contracts from whoever reads them; gives it as faults and one error to the caller."""

from __future__ import annotations

from dataclasses import dataclass

from watling.errors import UsageError

MAX_MESSAGE = 1000


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a contract file. `line` counts from 1; 0 means the file as a whole.

    A message may quote the file: what would break the line or the terminal is shown escaped, and very long ones are cut.
    """

    file: str
    line: int
    message: str

    def __post_init__(self) -> None:
        message = self.message if len(self.message) <= MAX_MESSAGE else self.message[: MAX_MESSAGE - 1] + "…"
        if not message.isprintable():
            message = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
        object.__setattr__(self, "message", message)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class ContractError(UsageError):
    """Contracts that cannot be used. `faults` lists everything found, in the order of files and lines."""

    def __init__(self, faults: list[Fault]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(f"contracts: {count} to mend before they can be used:\n{lines}", faults=faults)
        self.faults = faults
