"""Receives settings and contracts; runs streams from Kafka into plain Parquet folders by Spark's own file sink.

No tables, no claim, no memory of ids: what Spark's checkpoints promise and no more. `DIR/<stream>` holds the good rows,
`DIR/quarantine/<stream>` the others with their reasons, `DIR/_checkpoints` where each of them stands. docs/spark.md
says what the tables promise beyond that.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from watling.broker import admin
from watling.config import Settings
from watling.contracts.model import Contract
from watling.contracts.targets import arrow
from watling.errors import UnreachableError, UsageError
from watling.ops.process import LockHeld, exclusive
from watling.pipeline.engines.lifecycle import chosen
from watling.pipeline.engines.spark.session import session
from watling.pipeline.engines.spark.source import open_stream
from watling.pipeline.engines.spark.tasks import Task, records
from watling.pipeline.split import REJECTED, split
from watling.pipeline.surely import shape_surely
from watling.pipeline.transforms.picture import OBJECT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

log = logging.getLogger(__name__)

TICK_S = 0.2
EVERY_S = 10  # between two batches of files: a file a partition each time
STARTS = 4  # of a query that fails
END_S = 120.0  # after a stop, how long the batches in hand may take
OF_THE_LAKE = ("_kafka_generation", "_replay_id")  # columns that mean something in tables only
PICTURE = "_picture"
ROWS, REJECTS = "rows", "rejects"


@dataclass(frozen=True, slots=True)
class PlainReport:
    """What was written: {stream: {rows, quarantined}}, and what stopped a stream, {stream: message}."""

    streams: Mapping[str, Mapping[str, int]]
    errors: Mapping[str, str]
    seconds: float

    @property
    def failed(self) -> bool:
        """True when a stream had to stop."""
        return bool(self.errors)


@dataclass(slots=True)
class _Writing:
    """One query: a stream's good rows, or its others. `begin` starts it where its checkpoint stands."""

    stream: str
    kind: str
    begin: Callable[[], StreamingQuery]
    query: StreamingQuery = field(init=False)
    written: int = 0  # as far as Spark told of it
    seen: int = -1  # number of the last batch that is counted in `written`
    starts: int = 1
    again_at: float = 0.0

    def __post_init__(self) -> None:
        self.query = self.begin()

    def look(self) -> bool:
        """Count what was written; True while it runs, or is to be begun again after a fault.

        Spark 4.1.1 ends a query that reads Kafka after its first batch when that repeats one of before a crash: the batch
        is written and noted, only Spark's report of it fails (SPARK-55271).
        """
        for told in self.query.recentProgress:
            if told.batchId > self.seen and self.kind in told.observedMetrics:
                self.seen = told.batchId
                self.written += int(told.observedMetrics[self.kind]["written"])
        if self.query.isActive:
            return True
        failed = self.query.exception()
        if failed is None or self.starts >= STARTS:
            return False
        if not self.again_at:
            log.warning("the query of stream %s ended, it is begun again: %s", self.stream, _first_line(failed))
            self.again_at = time.monotonic() + 2.0 ** (self.starts - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
        if time.monotonic() >= self.again_at:
            self.query, self.starts, self.again_at = self.begin(), self.starts + 1, 0.0
        return True


def run(
    settings: Settings,
    contracts: Mapping[str, Contract],
    to: str,
    *,
    once: bool = False,
    streams: Sequence[str] | None = None,
    stop: threading.Event | None = None,
    on_progress: Callable[[Mapping[str, Mapping[str, int]]], None] | None = None,
    master: str | None = None,
) -> PlainReport:
    """Write the streams below `to` (a folder, or a URI that Spark can write) until `stop` is set; with `once` what is there.

    Raises:
        UnreachableError: broker or Spark's master do not answer, or a topic is not there.
        UsageError: an unknown stream, a folder of the lake, another process writes there, or Spark cannot run here.
    """
    wanted = chosen(contracts, streams)
    base = target(settings, to)
    stop = stop or threading.Event()
    began = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(_alone(settings, base))
        if settings.embedded_broker:
            admin.ensure_topics(settings, wanted)
        starts = {name: _starts(settings, contract) for name, contract in wanted.items()}
        spark = stack.enter_context(session(settings, master))
        spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")  # with its zone, for every reader
        writing: list[_Writing] = []
        try:
            for name, contract in wanted.items():
                for kind in (ROWS, REJECTS):
                    writing.append(_begin(spark, settings, contract, kind, starts[name], base, once))
            while any([one.look() for one in writing]) and not stop.wait(TICK_S):
                if on_progress is not None:
                    on_progress(_totals(writing))
        finally:
            _end(writing)
        errors = {}
        for one in writing:
            if (failed := one.query.exception()) is not None:
                why = _first_line(failed)
                log.error("the query of stream %s failed", one.stream, exc_info=failed)
                errors[one.stream] = (
                    f"stream {one.stream}: Spark's query failed: {why}. The log has the whole. What it wrote stays; start "
                    "again, or, where records were deleted from Kafka before they were read, begin in another folder."
                )
        return PlainReport(_totals(writing), errors, time.monotonic() - began)


def target(settings: Settings, to: str) -> str:
    """The URI of the folder to write to, without a slash at its end.

    Raises:
        UsageError: it lies in the lake, whose upkeep removes what belongs to no table.
    """
    if "://" in to:
        return to.rstrip("/")
    path, lake = Path(to).resolve(), (settings.home / "lake").resolve()
    if path.is_relative_to(lake) or lake.is_relative_to(path):
        raise UsageError(
            f"{path} overlaps with the lake in {lake}, which keeps only what its tables name. Choose another."
        )
    return path.as_uri()


def schemas(contract: Contract) -> dict[str, pa.Schema]:
    """Columns of the good rows, as in the stream's table but for what only tables know, and of the others."""
    rows = arrow.compile(contract)
    if any(column.picture for column in contract.fields):
        rows = rows.append(pa.field(PICTURE, pa.large_binary()))
    return {
        kind: pa.schema([column.with_nullable(True) for column in schema if column.name not in OF_THE_LAKE])
        for kind, schema in ((ROWS, rows), (REJECTS, REJECTED))
    }


def task(contract: Contract, kind: str) -> Task:
    """What executors do with a batch of records: the pipeline's steps, then the good rows or the others."""
    schema = schemas(contract)[kind]

    def give(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not batch.num_rows:
                continue
            shaped = shape_surely(records(batch), contract)
            rows, rejected = split(shaped, contract, 0)
            if PICTURE in schema.names:
                rows = rows.append_column(PICTURE, shaped.filter(pc.is_null(shaped["_reason"]))[OBJECT])
            chosen = (rows if kind == ROWS else rejected).select(schema.names).cast(schema)
            yield from chosen.combine_chunks().to_batches()

    return give


def _begin(
    spark: SparkSession,
    settings: Settings,
    contract: Contract,
    kind: str,
    starts: Mapping[int, int],
    base: str,
    once: bool,
) -> _Writing:
    from pyspark.sql import functions
    from pyspark.sql.pandas.types import from_arrow_schema

    name = contract.name
    folder = f"{base}/{name}" if kind == ROWS else f"{base}/quarantine/{name}"
    trigger: dict[str, Any] = {"availableNow": True} if once else {"processingTime": f"{EVERY_S} seconds"}
    made = from_arrow_schema(schemas(contract)[kind])

    def begin() -> StreamingQuery:
        return (
            open_stream(spark, settings, contract, starts, fail_on_loss=True)
            .mapInArrow(task(contract, kind), made)
            .observe(kind, functions.count(functions.lit(1)).alias("written"))
            .writeStream.queryName(f"watling plain {name} {kind}")
            .format("parquet")
            .option("path", folder)
            .option("checkpointLocation", f"{base}/_checkpoints/{name}/{kind}")
            .trigger(**trigger)
            .start()
        )

    return _Writing(name, kind, begin)


def _first_line(error: object) -> str:
    return str(error).strip().splitlines()[0][:500]


def _starts(settings: Settings, contract: Contract) -> dict[int, int]:
    """{partition: first offset there is}, where a folder without a checkpoint begins."""
    marks = admin.watermarks(settings, contract.topic)
    if not marks:
        raise UnreachableError(
            f"topic {contract.topic} of stream {contract.name} does not exist on {settings.bootstrap_servers}. "
            "Make it there, or leave the stream out with `--stream`."
        )
    return {partition: low for partition, (low, _) in marks.items()}


def _totals(writing: Iterable[_Writing]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for one in writing:
        found.setdefault(one.stream, {})["rows" if one.kind == ROWS else "quarantined"] = one.written
    return found


def _end(writing: Iterable[_Writing]) -> None:
    """Stop each query after its batch in hand: one that is cut short leaves files that plain readers count twice."""
    deadline = time.monotonic() + END_S
    for one in writing:
        one.starts = STARTS
        while one.query.isActive and one.query.status["isTriggerActive"] and time.monotonic() < deadline:
            time.sleep(0.02)
        try:
            one.look()
            one.query.stop()
        except Exception as error:  # the JVM may be gone: its checkpoint says where the next start begins
            log.warning("the query of stream %s did not stop in order: %s", one.stream, error)


@contextmanager
def _alone(settings: Settings, base: str) -> Iterator[None]:
    """One writer of a folder: two would each write everything."""
    name = hashlib.sha256(base.encode()).hexdigest()[:16]
    try:
        with exclusive(settings.home.resolve() / "run" / f"plain-{name}.lock"):
            yield
    except LockHeld as held:
        raise UsageError(
            f"process {held.pid} writes to {base} already. End it first, or choose another folder."
        ) from None
