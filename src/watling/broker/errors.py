"""Receives nothing; gives the broker's exceptions."""

from __future__ import annotations

from watling.errors import UnreachableError, UsageError, WatlingError


class BrokerError(WatlingError):
    """The embedded broker cannot do what was asked."""


class BrokerUnreachable(UnreachableError):
    """No broker answers."""


class BrokerUsageError(UsageError):
    """The embedded broker is not for this configuration."""


class KafkaRefused(BrokerError):
    """Kafka answered with an error. `code` is its error code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message, code=code)
        self.code = code
