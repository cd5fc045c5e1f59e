"""What Watling costs on Spark: the tutorial's job, a hand-written Spark -> Iceberg job, and both engines of Watling.

    python bench/spark.py [--records 2000000] [--rounds 2] [--batch 500000] [--partitions 4 64] [--snapshots 10000]

One run, one broker, the same topic (vehicle events as in `pipeline.py`), the same two cores, with the broker on them too.
Rounds alternate between four ways, each in a process of its own that reads the whole topic into fresh folders, cold and
then warm: the tutorial's job to Parquet (`spark_job.py`), one to Iceberg as written by hand (`spark_iceberg_job.py`: parses
and appends, nothing more), Watling on Spark, Watling's embedded engine. The Spark ways run as `local[2]`.

Start is from the beginning of the process to that of its first batch. CPU is that of all processes of a way; memory is
the largest sum of their resident sizes. `--partitions` does all of it for each of these numbers of the topic's
partitions. With `--snapshots N` a third pass of Watling's ways reads into a table that has had N commits already, kept up
as the pipeline does it. `--batch` is the most that a batch of the two Spark ways to Iceberg holds; the tutorial's job
reads all in one, the embedded engine commits by the clock. Last, the steps of Watling on Spark: by its own clock, and
those of its first job one on top of the other.

Needs PySpark (`watling[spark]`, in the development environment) and a JDK, else the Spark ways are left out and the
output says so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pipeline
import psutil
from pipeline import Leg, Watched

from watling.config import Settings, load_settings
from watling.contracts import load_contracts

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

HERE = Path(__file__).resolve().parent
TUTORIAL, BY_HAND, SPARK, EMBEDDED = (
    "tutorial's Spark to Parquet",
    "Spark to Iceberg by hand",
    "Watling on Spark",
    "Watling embedded",
)
MASTER = "local[2]"
CORES = 2


@dataclass
class Pass(Leg):
    """What one pass cost, with what only some ways tell: seconds to the first batch, batches, seconds by part."""

    start: float | None = None
    batches: int = 0
    parts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Way:
    """How a process of one way is started. `grows`: it can begin with a table of many commits."""

    name: str
    command: Callable[[str, str, str], list[str]]  # of bootstrap, topic, folder
    grows: bool = False


# --- the processes, watched from here --------------------------------------------------------------------------------------


def ask(way: Way, child: subprocess.Popen[str], line: str) -> dict[str, Any]:
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # the answer that is missing tells it
        child.stdin.write(line + "\n")
        child.stdin.flush()
    return pipeline._line(child, way.name)


@contextlib.contextmanager
def process(way: Way, bootstrap: str, topic: str) -> Iterator[subprocess.Popen[str]]:
    """A way's process, ready for its first pass; its folder goes with it."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-spark-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile("w+", errors="replace") as said,
        subprocess.Popen(
            way.command(bootstrap, topic, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as child,
    ):
        assert child.stdin is not None
        try:
            pipeline._line(child, way.name)
            yield child
            child.stdin.close()
            child.wait(60)
        except SystemExit:  # an answer is missing
            said.seek(0)
            sys.stderr.write(said.read()[-4000:])
            raise
        finally:
            if child.poll() is None:
                for one in [*psutil.Process(child.pid).children(recursive=True), child]:
                    with contextlib.suppress(psutil.Error):
                        one.kill()


def passes(way: Way, bootstrap: str, topic: str, records: int, snapshots: int) -> list[Pass]:
    """Cold, warm, and where it is asked for one into a table that has grown."""
    found = []
    with process(way, bootstrap, topic) as child:
        watched = Watched(psutil.Process(child.pid))
        born = watched.process.create_time()
        watched.start()
        try:
            for phase in ("cold", "warm", *(["grown"] if snapshots and way.grows else [])):
                if phase == "grown":
                    ask(way, child, f"grow {snapshots}")
                before, watched.peak = watched.cpu(), 0
                told = ask(way, child, "go")
                if told["landed"] != records:
                    raise SystemExit(f"{way.name}: {told['landed']:,} rows in place of {records:,}")
                cpu = watched.cpu() - before
                start = told["first"] - born if phase == "cold" and "first" in told else None
                cost = (told["seconds"], cpu, watched.peak / 1e6)
                print(f"  {way.name}, {phase}: {told['seconds']:.1f} s", file=sys.stderr, flush=True)
                found.append(
                    Pass(way.name, phase, records, *cost, start, told.get("batches", 0), told.get("parts", {}))
                )
        finally:
            watched.stop()
    return found


def ways(batch: int) -> tuple[list[Way], str]:
    """Those that can run here, and why others cannot."""

    def child(engine: str) -> Callable[[str, str, str], list[str]]:
        return lambda *given: [sys.executable, __file__, "--child", engine, *given, str(batch)]

    embedded = Way(EMBEDDED, child("embedded"), grows=True)
    try:
        tutorial, by_hand = _spark_jars()
    except Exception as error:
        return [embedded], f"the three ways on Spark are left out: {error}"
    job, iceberg = str(HERE / "spark_job.py"), str(HERE / "spark_iceberg_job.py")
    return [
        Way(TUTORIAL, lambda b, t, out: [sys.executable, job, b, t, out, tutorial, "2"]),
        Way(BY_HAND, lambda b, t, out: [sys.executable, iceberg, b, t, out, by_hand, str(batch)]),
        Way(SPARK, child("spark"), grows=True),
        embedded,
    ], ""


def _spark_jars() -> tuple[str, str]:
    """Jars for the tutorial's job and for the one by hand; JAVA_HOME is set for all."""
    from watling.broker import jars
    from watling.pipeline.engines.spark import session

    os.environ["JAVA_HOME"] = str(session.check().home)
    kafka = [str(path) for path in jars.resolve(session.LOCK)]
    iceberg = [str(path) for path in jars.resolve(HERE / "jars-iceberg-spark-4.1.lock")]
    return ",".join(kafka), ",".join(kafka + iceberg)


# --- Watling's processes ---------------------------------------------------------------------------------------------------


def watling_child(engine: str, bootstrap: str, topic: str, home: str, batch: str) -> None:
    """Answers `go` (a pass into a fresh home, or into one that was grown before), `grow N` and `steps`."""
    contract = replace(load_contracts(None)["vehicle"], topic=topic)

    def settings(number: int) -> Settings:
        properties = {"spark.sql.streaming.numRecentProgressUpdates": "10000"}
        return load_settings(
            home=Path(home) / str(number),
            kafka={"bootstrap_servers": bootstrap},
            spark={"master": MASTER, "max_offsets_per_trigger": int(batch), "properties": properties},
        )

    number = 0
    if engine == "spark":
        from watling.pipeline.engines.spark.session import open_session

        spark = open_session(settings(0))
    one_pass = {"spark": pass_on_spark, "embedded": pass_embedded}[engine]
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        match line.split():
            case ["grow", count]:
                grow(settings(number), contract, int(count))
                answer = {"grown": int(count)}
            case ["steps"]:
                answer = steps(spark, settings(number), contract)
            case _:
                answer = one_pass(settings(number), contract)
                number += 1
        print(json.dumps(answer), flush=True)


def pass_embedded(settings: Settings, contract: Any) -> dict[str, Any]:
    from watling.pipeline.engines import embedded
    from watling.pipeline.engines.embedded import reader

    first: list[float] = []
    reader.failpoint = lambda _: (
        first.append(time.time()) if not first else None
    )  # called with each batch that was read
    began = time.perf_counter()
    report = embedded.run(settings, {"vehicle": contract}, once=True)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "landed": report.streams["vehicle"].landed, "first": first[0]}


def pass_on_spark(settings: Settings, contract: Any) -> dict[str, Any]:
    from spark_iceberg_job import told

    from watling.pipeline.engines.spark import engine

    class Told(engine._Engine):
        """The engine, which also keeps its queries for what they tell."""

        def _start(self, one: Any, once: bool) -> None:
            super()._start(one, once)
            queries.append(one.query)

    queries: list[Any] = []
    began = time.perf_counter()
    running = Told(settings, {"vehicle": contract}, None, threading.Event(), None)
    report = running.run(None, once=True, take_over=False, accept_new_topic=False)
    seconds = time.perf_counter() - began
    answer = told(queries, seconds)
    timings = running.running["vehicle"].stream.timings
    rest = answer["parts"].pop("batches") - sum(timings.values())
    answer["parts"] |= {**timings, "rest of the batches": rest}
    return {"seconds": seconds, "landed": report.streams["vehicle"].landed, **answer}


def grow(settings: Settings, contract: Any, count: int) -> None:
    """A stream's table after so many commits without rows, kept up as the pipeline keeps its own at a commit a second."""
    from watling.lake.catalog import open_catalog
    from watling.lake.commit import Committer
    from watling.lake.maintain import maintain

    catalog = open_catalog(settings)
    committer = Committer(catalog, settings, "benchmark", threading.Event())
    committer.claim(contract)
    for number in range(1, count + 1):
        committer.update_state(contract.name, lambda state: state)
        if number % int(settings.lake.maintain_every_s) == 0:
            maintain(catalog, settings, {contract.name: contract}, orphans=False)


# --- the first job, step on step ------------------------------------------------------------------------------------------


def steps(spark: Any, settings: Settings, contract: Any) -> dict[str, Any]:
    """Seconds for the whole topic: reading alone, then with each step of the first job more; the better of two runs."""
    from pyspark.sql.functions import col, from_json
    from spark_iceberg_job import VEHICLE

    from watling.pipeline.engines.spark import source, tasks
    from watling.pipeline.surely import shape_surely

    def counted(
        work: Callable[[pa.RecordBatch], int],
    ) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
        import pyarrow

        def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                yield pyarrow.RecordBatch.from_pydict({"n": pyarrow.array([work(batch)], pyarrow.int64())})

        return run

    def decoded(batch: pa.RecordBatch) -> int:
        return shape_surely(tasks.records(batch), contract).num_rows

    options = {
        **source.client_options(settings),
        "subscribe": contract.topic,
        "startingOffsets": "earliest",
        "includeHeaders": "true",
        "minPartitions": str(CORES),
    }
    frame: DataFrame = spark.read.format("kafka").options(**options).load().selectExpr(*source.COLUMNS)
    jobs = {
        "reading": frame,
        "reading, from_json": frame.select(from_json(col("value").cast("string"), VEHICLE).alias("v")).select("v.*"),
        "reading, to Python": frame.mapInArrow(counted(lambda batch: batch.num_rows), "n long"),
        "reading, to Python, shape": frame.mapInArrow(counted(decoded), "n long"),
        "reading, to Python, shape, pack": frame.mapInArrow(tasks.shaping(contract), tasks.SHAPED),
    }
    found: dict[str, float] = {}
    for _ in range(2):
        for name, job in jobs.items():
            began = time.perf_counter()
            job.write.format("noop").mode("overwrite").save()
            found[name] = min(found.get(name, 1e9), time.perf_counter() - began)
    return {"steps": found}


# --- the tables ----------------------------------------------------------------------------------------------------------


def middle(legs: list[Pass], name: str, phase: str, what: Callable[[Pass], float]) -> float:
    return statistics.median(what(leg) for leg in legs if (leg.engine, leg.phase) == (name, phase))


def show(legs: list[Pass]) -> None:
    print(f"\n{'way':28} {'pass':5} {'records/s':>10} {'(all rounds)':>20} {'CPU µs':>7} {'peak MB':>8} {'start s':>8}")
    kinds = sorted({(leg.engine, leg.phase) for leg in legs}, key=[(leg.engine, leg.phase) for leg in legs].index)
    for name, phase in kinds:
        mine = [leg for leg in legs if (leg.engine, leg.phase) == (name, phase)]
        rates = " ".join(f"{leg.rate / 1000:.0f}k" for leg in mine)
        rate, cpu = (middle(legs, name, phase, what) for what in (lambda leg: leg.rate, lambda leg: leg.micros))
        starts = [leg.start for leg in mine if leg.start is not None]
        start = f"{statistics.median(starts):8.1f}" if starts else ""
        print(
            f"{name:28} {phase:5} {rate:10,.0f} {rates:>20} {cpu:7.2f} {max(leg.peak_mb for leg in mine):8.0f} {start}"
        )
    for phase in ("cold", "warm", "grown"):
        for ours, theirs in ((SPARK, BY_HAND), (SPARK, TUTORIAL), (SPARK, EMBEDDED)):
            pairs = list(
                zip(
                    [leg for leg in legs if (leg.engine, leg.phase) == (ours, phase)],
                    [leg for leg in legs if (leg.engine, leg.phase) == (theirs, phase)],
                    strict=False,
                )
            )
            if pairs:
                times = [a.seconds / b.seconds for a, b in pairs]
                cpu = statistics.median(a.cpu / b.cpu for a, b in pairs)
                rounds = " ".join(f"{x:.2f}" for x in times)
                print(
                    f"{ours} : {theirs}, {phase}: {statistics.median(times):.2f}x the time ({rounds}), {cpu:.2f}x the CPU"
                )


def show_parts(legs: list[Pass]) -> None:
    """Where the time of a pass goes, by the clocks of Spark and of the engine."""
    for name in (BY_HAND, SPARK):
        for phase in ("cold", "warm", "grown"):
            mine = [leg for leg in legs if (leg.engine, leg.phase) == (name, phase)]
            if not mine:
                continue
            whole, batches = (statistics.median(getattr(leg, what) for leg in mine) for what in ("seconds", "batches"))
            print(f"\n{name}, {phase}: {whole:.2f} s in {batches:.0f} batches")
            for part in mine[0].parts:
                took = statistics.median(leg.parts[part] for leg in mine)
                print(f"  {part:24} {took:7.2f} s {took / whole:6.1%} {took / batches * 1000:8.0f} ms a batch")


def show_steps(way: Way, bootstrap: str, topic: str, records: int) -> None:
    with process(way, bootstrap, topic) as child:
        found = ask(way, child, "steps")["steps"]
    print("\nthe first job of Watling on Spark, step on step, results thrown away (warm)")
    for name, seconds in found.items():
        print(f"  {name:34} {seconds:7.2f} s {records / seconds:10,.0f} records/s")


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        watling_child(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", type=int, default=500_000)
    parser.add_argument("--partitions", type=int, nargs="+", default=[4])
    parser.add_argument("--snapshots", type=int, default=0)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # children inherit it
    records = options.records
    those, why = ways(options.batch)
    with pipeline.broker() as bootstrap:
        for partitions in options.partitions:
            pipeline.PARTITIONS, topic = partitions, f"vehicles-{partitions}"
            pipeline.make_topic(bootstrap, topic)
            size, _ = pipeline.fill(bootstrap, topic, records)
            print(
                f"\n{records:,} vehicle events of {size / records:.0f} bytes, {partitions} partitions, lz4; batches of at most "
                f"{options.batch:,}; load {os.getloadavg()[0]:.1f}"
            )
            if why:
                print(why)
            legs: list[Pass] = []
            for _ in range(options.rounds):
                for way in those:
                    legs += passes(way, bootstrap, topic, records, options.snapshots)
            show(legs)
            if options.snapshots:
                print(f"grown: into a table that has had {options.snapshots:,} commits without rows already")
            show_parts(legs)
            for way in those:
                if way.name == SPARK:
                    show_steps(way, bootstrap, topic, records)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
