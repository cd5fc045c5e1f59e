"""Receives settings, contracts and a committer from an engine; does what every engine does before, beside and after batches.

Claiming a stream and finding out where it stands, the lake's upkeep, the report at the end. Nothing here moves a record.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from watling.broker import admin
from watling.config import Settings
from watling.contracts.model import Contract
from watling.errors import UnreachableError, UsageError, WatlingError
from watling.lake.catalog import open_catalog
from watling.lake.commit import Committer
from watling.lake.objects import ObjectStore
from watling.lake.read import during, read
from watling.lake.state import StreamState
from watling.lake.upkeep import maintain_apart
from watling.pipeline.engines.meter import Meter
from watling.pipeline.engines.recent import IDS
from watling.pipeline.engines.topics import TopicChanged, settle_generation

log = logging.getLogger(__name__)

GRACE_S = 5.0  # after a stop, how long a catalog that is away may still hold the last commit up
ORPHANS_EVERY_S = 3600.0
PAUSES_S = (1.0, 10.0)  # between tries while lake or broker are away: the first, the longest


Progress = Callable[[dict[str, Any]], None]
"""Told about once a second what `watling status` shows, by stream."""


class Followed(Protocol):
    """A stream of an engine, as far as it is watched."""

    contract: Contract
    meter: Meter
    error: WatlingError | None


S = TypeVar("S", bound=Followed)


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What one run did for a stream. `error` is why it stopped early, None when it did not."""

    landed: int
    quarantined: int
    duplicates: int
    lost: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RunReport:
    """What one run did, and `seconds` it took."""

    streams: Mapping[str, StreamReport]
    seconds: float

    @property
    def failed(self) -> bool:
        """True when some stream stopped early."""
        return any(s.error for s in self.streams.values())


@dataclass(frozen=True, slots=True)
class Claimed:
    """A stream that is ours: its state before and after the claim settled its topic, the topic's {partition: (low, high)}."""

    before: StreamState
    state: StreamState
    marks: dict[int, tuple[int, int]]
    error: WatlingError | None  # why it may not be read all the same


def chosen(contracts: Mapping[str, Contract], names: Sequence[str] | None) -> dict[str, Contract]:
    """The contracts of these streams, of all for None.

    Raises:
        UsageError: there is no such stream.
    """
    if unknown := sorted(set(names or ()) - contracts.keys()):
        raise UsageError(f"no such stream: {', '.join(unknown)}. There are: {', '.join(sorted(contracts))}")
    return {n: c for n, c in contracts.items() if names is None or n in names}


@dataclass(frozen=True, slots=True)
class Ground:
    """What an engine works on: the lake's one writer, its pictures, and Kafka's ids of the topics there are."""

    committer: Committer
    objects: ObjectStore
    topic_ids: Mapping[str, str]


def ground(
    settings: Settings, contracts: Mapping[str, Contract], writer: str, stop: threading.Event, abandon: threading.Event
) -> Ground:
    """Open lake and broker; a broker of our own gets the topics it lacks. Some time after `stop`, `abandon` is set.

    Raises:
        UnreachableError: broker or lake do not answer.
    """
    if settings.embedded_broker:
        admin.ensure_topics(settings, contracts)
    threading.Thread(target=abandon_after_grace, args=(stop, abandon), daemon=True, name="grace").start()
    catalog = open_catalog(settings)
    return Ground(
        Committer(catalog, settings, writer, abandon),
        ObjectStore(settings, catalog),
        admin.topic_ids(settings, [c.topic for c in contracts.values()]),
    )


def begin(streams: Sequence[Followed], *works: Callable[[], None]) -> None:
    """Start a thread for each of the works, if any stream may be read; else raise what stands against the first."""
    errors = [s.error for s in streams if s.error]
    if errors and len(errors) == len(streams):
        raise errors[0]
    for work in works:
        threading.Thread(target=work, daemon=True, name=work.__name__.strip("_")).start()


def claim(
    settings: Settings, committer: Committer, contract: Contract, topic_id: str | None, accept_new_topic: bool
) -> Claimed:
    """Claim a stream's table and see whether its offsets still mean this topic.

    Raises:
        UnreachableError: the topic does not exist, or broker or lake do not answer.
    """
    name, topic = contract.name, contract.topic
    if topic_id is None:
        raise UnreachableError(
            f"topic {topic} of stream {name} does not exist on {settings.bootstrap_servers}. "
            "Make it there, or leave the stream out with `--stream`.",
        )
    before = state = committer.claim(contract)
    marks = dict(admin.watermarks(settings, topic))
    try:
        if settle_generation(contract, state, topic_id, marks, accept_new_topic) is not state:
            state = committer.update_state(
                name, lambda s: settle_generation(contract, s, topic_id, marks, accept_new_topic)
            )
    except TopicChanged as changed:
        log.error("%s", changed.message)
        return Claimed(before, state, marks, changed)
    return Claimed(before, state, marks, None)


def next_offsets(state: StreamState, generation: int) -> dict[int, int]:
    """{partition: next offset} of the table, in this generation of its topic."""
    found = state.generations.get(generation)
    return {} if found is None else {p: s.next for p, s in found.partitions.items()}


def ids_of(committer: Committer, name: str) -> Callable[[int, int], Iterable[pa.RecordBatch]]:
    """How RecentIds reads what a stream's table holds of event time [low, high) microseconds: id and event time."""

    def load(low: int, high: int) -> Iterator[pa.RecordBatch]:
        for batch in read(committer.table(name), IDS.names, during("event_time", low, high)):
            yield pa.RecordBatch.from_arrays([batch.column(n).cast(IDS.field(n).type) for n in IDS.names], schema=IDS)

    return load


def writer_name(engine: str) -> str:
    """Who writes, as another writer and the table's state are told."""
    return f"{engine} engine on {socket.gethostname()}, pid {os.getpid()}, since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def watch(
    settings: Settings,
    streams: Iterable[S],
    over: threading.Event,
    on_progress: Progress | None,
    seen: Callable[[S, dict[int, int]], None] | None = None,
) -> None:
    """Once a second until `over`: ask where each stream's topic ends, and tell how it goes.

    A stream that has stopped is left out. `seen` is told of the {partition: end offset} of each.
    """
    followed = list(streams)
    while not over.is_set():
        began = time.monotonic()
        for stream in followed:
            if stream.error is not None:
                continue
            try:
                marks = admin.watermarks(settings, stream.contract.topic)
            except Exception as error:  # this thread only tells how it goes: it must outlive whatever is away
                log.debug("ends of %s are not known: %s", stream.contract.topic, error)
                stream.meter.ends(None)
                continue
            ends = {p: high for p, (_, high) in marks.items()}
            stream.meter.ends(ends)
            if seen is not None:
                seen(stream, ends)
        if on_progress is not None:
            try:
                on_progress({s.contract.name: s.meter.read() for s in followed})
            except OSError as error:
                log.warning("progress cannot be published: %s", error)
        over.wait(max(0.1, 1.0 - (time.monotonic() - began)))


def keep_up(settings: Settings, contracts: Mapping[str, Contract], over: threading.Event) -> None:
    """Keep the tables fast while they grow, until `over`: small files merged, snapshots expired, orphans once an hour."""
    orphans_at = time.monotonic()
    while not over.wait(settings.lake.maintain_every_s * random.uniform(0.9, 1.1)):  # noqa: S311
        orphans = time.monotonic() - orphans_at > ORPHANS_EVERY_S
        try:
            maintain_apart(settings, contracts, orphans=orphans, stop=over)
        except Exception:  # the stream must not suffer from it; the next pass tries again
            log.exception("maintenance of the lake failed, the pipeline goes on")
        if orphans:
            orphans_at = time.monotonic()


def abandon_after_grace(stop: threading.Event, abandon: threading.Event) -> None:
    """Once `stop` is set, set `abandon` too after GRACE_S: a commit that the lake does not take is given up then."""
    stop.wait()
    time.sleep(GRACE_S)
    abandon.set()


def report(committer: Committer, name: str, before: StreamState, error: WatlingError | None) -> StreamReport:
    """What has changed in a stream's state since `before`."""
    after = committer.state(name)
    landed, quarantined, duplicates, lost = (
        after.total(n) - before.total(n) for n in ("landed", "quarantined", "duplicates", "lost")
    )
    return StreamReport(landed, quarantined, duplicates, lost, error.message if error else None)
