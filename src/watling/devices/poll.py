"""Receives the address of a live feed; gives the producer what is new in it, again and again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import pyarrow as pa
import pyarrow.compute as pc

from watling.devices.port import WIRE, WireBatch
from watling.devices.request import USER_AGENT, Answer, Failed, Key, Limits, PollError, check_url, fetch
from watling.devices.sources import BATCH, Faults, Options, Play, adapter, records
from watling.devices.sources.files import of_bytes
from watling.devices.sources.rows import SAME, Rows
from watling.errors import UsageError

__all__ = ["Key", "Limits", "Poll", "PollError", "Polls", "parse_every", "poll"]

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 300.0
LONGEST_RETRY_AFTER_S = 3600.0
HOPELESS = {400, 401, 403, 404, 405, 410, 451}
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse_every(text: str) -> float:
    """`15s`, `500ms`, `2m`, `1h` or a number of seconds. Raises UsageError."""
    number = text.strip().rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text.strip()[len(number) :] or "s"
    try:
        seconds = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        seconds = 0.0
    if not 0.1 <= seconds <= 86_400:
        raise UsageError(f"every {text!r} is no time between 100ms and 24h: try --every 15s", every=text)
    return seconds


@dataclass(slots=True)
class Polls:
    """What polling did: requests by outcome, records `sent` and those left out because they had not `changed`."""

    asked: int = 0
    fresh: int = 0
    not_modified: int = 0
    failed: int = 0
    sent: int = 0
    unchanged: int = 0
    last_failure: str = ""


@dataclass(frozen=True, slots=True)
class Poll:
    """A live feed as a source for the producer.

    `every` seconds a request begins; one that fails is repeated with exponential backoff and jitter, from one second to
    five minutes; `Retry-After` is honoured up to an hour. `times` ends after that many requests, `stop` at once.
    Records are due when they arrive: send them with speed `max`.
    """

    source: str
    url: str
    every: float
    options: Options = field(default_factory=Options)
    key: Key | None = None
    limits: Limits = field(default_factory=Limits)
    user_agent: str = USER_AGENT
    allow_private: bool = False
    times: int | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    faults: Faults = field(default_factory=Faults)
    polls: Polls = field(default_factory=Polls)
    wait: Callable[[float], object] | None = None

    def batches(self) -> Iterator[WireBatch]:
        """Batches of what is new since the last answer.

        Raises:
            UsageError: the address, the source, an option or the key's variable cannot be used.
            PollError: the first answer is a refusal (such as 401 or 404), or a redirect must not be followed.
        """
        url = check_url(self.url)
        _, read = adapter(self.source)
        if self.key is not None:
            self.key.value()
        wait = self.wait or self.stop.wait
        last, failures = Answer(0), 0
        known: set[bytes] = set()
        timeout = httpx.Timeout(self.limits.read_s, connect=self.limits.connect_s)
        with httpx.Client(timeout=timeout, headers={"User-Agent": self.user_agent}, follow_redirects=False) as client:
            while not self.stop.is_set() and (self.times is None or self.polls.asked < self.times):
                begin = time.monotonic()
                self.polls.asked += 1
                answer, failure = self._ask(client, url, last)
                if answer is not None and answer.body is not None:
                    last, failures = answer, 0
                    self.polls.fresh += 1
                    rows = read(of_bytes(_name(url), answer.body), self.options, self.faults)
                    seen: set[bytes] = set()
                    yield from self._new(rows, known, seen)
                    known = seen
                    pause = self.every - (time.monotonic() - begin)
                elif answer is not None and answer.status == 304:
                    failures = 0
                    self.polls.not_modified += 1
                    pause = self.every - (time.monotonic() - begin)
                else:
                    failures += 1
                    pause = self._failed(_name(url), answer, failure, failures)
                if self.times is None or self.polls.asked < self.times:
                    wait(max(0.0, pause))

    def _ask(self, client: httpx.Client, url: httpx.URL, last: Answer) -> tuple[Answer | None, str]:
        try:
            return (
                fetch(
                    client, url, self.limits, key=self.key, etag=last.etag, modified=last.modified, allow_private=self.allow_private
                ),
                "",
            )  # fmt: skip
        except Failed as error:
            return None, str(error)

    def _failed(self, name: str, answer: Answer | None, failure: str, failures: int) -> float:
        """Count and report; gives how long to wait."""
        if answer is not None:
            failure = f"answers {answer.status} {httpx.codes.get_reason_phrase(answer.status)}".rstrip()
        if answer is not None and answer.status in HOPELESS and not self.polls.fresh:
            hint = "give the key with --key-env" if answer.status in {401, 403} else "check the address"
            raise PollError(f"{name} {failure}: {hint}.", url=name, status=answer.status)
        self.polls.failed += 1
        self.polls.last_failure = failure
        self.faults.note(f"request failed: {failure}")
        backoff = min(LONGEST_BACKOFF_S, max(FIRST_BACKOFF_S, min(self.every, 30.0)) * 2.0 ** min(failures - 1, 20))
        pause = backoff * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
        if answer is not None and answer.retry_after_s is not None:
            pause = max(pause, min(LONGEST_RETRY_AFTER_S, answer.retry_after_s) * random.uniform(1.0, 1.1))  # noqa: S311
        return pause

    def _new(self, batches: Iterator[Rows], known: set[bytes], seen: set[bytes]) -> Iterator[WireBatch]:
        """Leave out what the answer before held unchanged. `seen` collects this answer's; both are bounded by the
        size limit of an answer."""
        for rows in batches:
            table = records(self.source, rows, Play())
            if SAME in rows.table.column_names:
                marks = rows.table.column(SAME).to_pylist()
            else:
                marks = [v.partition(b'","timestamp":"')[0] for v in table.column("value").to_pylist()]
            marks = [hash((rows.stream, m)).to_bytes(8, "big", signed=True) for m in marks]
            fresh = pa.array([m not in known for m in marks], pa.bool_())
            seen.update(marks)
            count = pc.sum(fresh).as_py() or 0
            self.polls.unchanged += len(marks) - count
            self.polls.sent += count
            if count:
                table = table.filter(fresh)
                due = pa.repeat(pa.scalar(datetime.now(UTC), WIRE.field("due").type), count)
                table = table.set_column(2, WIRE.field("due"), due)
                for start in range(0, count, BATCH):
                    yield WireBatch(rows.stream, table.slice(start, BATCH))


def _name(url: httpx.URL) -> str:
    """The address for messages, without its query."""
    return str(url.copy_with(query=None, fragment=None))


def poll(
    source: str,
    url: str,
    every: float | str,
    *,
    options: Options | None = None,
    key: Key | None = None,
    limits: Limits | None = None,
    user_agent: str = USER_AGENT,
    allow_private: bool = False,
    times: int | None = None,
    stop: threading.Event | None = None,
    faults: Faults | None = None,
) -> Iterator[WireBatch]:
    """The batches of a `Poll`; `every` in seconds or as a text such as `15s`."""
    return Poll(
        source,
        url,
        parse_every(every) if isinstance(every, str) else every,
        options or Options(),
        key,
        limits or Limits(),
        user_agent,
        allow_private,
        times,
        stop or threading.Event(),
        Faults() if faults is None else faults,
    ).batches()
