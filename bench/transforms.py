"""CPU µs a record of each step, on clean vehicle records and with 1% bad ones, beside DuckDB's `from_json` alone.

python bench/transforms.py [--records 200000] [--chunk 25000] [--stream vehicle]
"""

from __future__ import annotations

import argparse
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from watling.contracts import Contract, load_contracts
from watling.contracts.records import RECORDS
from watling.pipeline import plan
from watling.pipeline.split import split
from watling.pipeline.transforms import deduplicate
from watling.pipeline.transforms.json_reader import compute

START = datetime(2026, 11, 24, tzinfo=UTC)
ROUNDS = 5
MAKES = (("BMW", "C500"), ("Ford", "Focus"), ("Audi", "A4"), ("Renault", "Zoe"))


def values(size: int, seed: int = 1) -> Iterator[bytes]:
    """Vehicle records as a real fleet sends them: 13 fields, about 300 bytes."""
    rng = random.Random(seed)
    for number in range(size):
        make, model = MAKES[number % len(MAKES)]
        yield json.dumps(
            {
                "id": str(uuid.UUID(int=rng.getrandbits(128))),
                "vehicle_id": f"V-{number % 1000:04d}",
                "timestamp": (START + timedelta(milliseconds=number)).isoformat(timespec="milliseconds"),
                "location": [round(51 + rng.random(), 6), round(-1 + rng.random(), 6)],
                "speed": round(rng.random() * 120, 1),
                "direction": "North",
                "make": make,
                "model": model,
                "year": 2024,
                "fuelType": "Hybrid",
                "heading": round(rng.random() * 360, 1),
                "rpm": 2000 + number % 1000,
                "altitude": round(rng.random() * 100, 1),
            }
        ).encode()


def spoil(clean: list[bytes], share: float) -> list[bytes | None]:
    """A copy in which `share` of the records are bad, each kind in turn."""
    bad: list[Callable[[bytes], bytes | None]] = [
        lambda v: v[: len(v) // 2],
        lambda v: v.replace(b'"id": ', b'"no": '),
        lambda v: v.replace(b'"year": 2024', b'"year": "old"'),
        lambda v: v.replace(b'"rpm": 2', b'"rpm": 25500'),
        lambda _: None,
        lambda _: b"[1, 2]",
        lambda v: v.replace(b"North", b"\xff\xfe"),
        lambda v: v.replace(b'"timestamp": "2026-', b'"timestamp": "2026/'),
        lambda v: v.replace(b'"location": [', b'"location": ["'),
        lambda v: v.replace(b'"make": "', b'"make": "\\q'),
    ]
    rng = random.Random(2)
    out: list[bytes | None] = list(clean)
    for turn, row in enumerate(sorted(rng.sample(range(len(clean)), int(len(clean) * share)))):
        out[row] = bad[turn % len(bad)](clean[row])
    return out


def records(batch: list[bytes | None]) -> pa.Table:
    size = len(batch)
    return pa.table(
        {
            "value": pa.array(batch, pa.large_binary()),
            "key": pa.nulls(size, pa.large_binary()),
            "headers": pa.nulls(size, RECORDS.field("headers").type),
            "_kafka_partition": pa.array(np.zeros(size, np.int32)),
            "_kafka_offset": pa.array(np.arange(size)),
            "_ingested_at": pa.array(np.full(size, START.timestamp() * 1e6, np.int64)).cast(pa.timestamp("us", "UTC")),
        },
        schema=RECORDS,
    )


def measure(work: Callable[[], object], size: int) -> float:
    """Best CPU µs a record of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best / size * 1e6


def steps(chunks: list[pa.Table], contract: Contract) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each step with what the one before gave it."""
    given = chunks
    for step in plan.STEPS:
        yield step.__module__.rsplit(".", 1)[1], lambda given=given, step=step: [step(c, contract) for c in given]
        given = [step(c, contract) for c in given]
    shaped = pa.concat_tables([plan.shape(c, contract) for c in chunks])
    none = pa.table({"id": pa.array([], pa.string()), "event_time": pa.array([], pa.timestamp("us", "UTC"))})
    yield "deduplicate", lambda: deduplicate.step(shaped, contract, none)
    unique = deduplicate.step(shaped, contract, none)
    yield "split", lambda: split(unique, contract, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--chunk", type=int, default=25_000)
    options = parser.parse_args()
    contract = load_contracts(None)["vehicle"]
    clean = list(values(options.records))
    size = len(clean)
    mixed = spoil(clean, 0.01)
    given = {}
    for name, batch in (("clean", clean), ("1% bad", mixed)):
        table = records(batch)
        given[name] = [table.slice(i, options.chunk) for i in range(0, size, options.chunk)]
    shape = json.dumps(dict.fromkeys(contract.wire_names, "VARCHAR"))
    query = f"select from_json(v, '{shape}') as s from input"
    texts = [c["value"].cast(pa.large_string()).combine_chunks() for c in given["clean"]]
    yardstick = measure(lambda: [compute(query, v=t) for t in texts], size)
    print(f"{size} vehicle records of {sum(map(len, clean)) / size:.0f} bytes, chunks of {options.chunk}, one thread")
    print(f"from_json of {len(contract.wire_names)} wires alone: {yardstick:.2f} µs\n")
    table = {name: dict(steps(chunks, contract)) for name, chunks in given.items()}
    print(f"{'step':14}" + "".join(f"{name:>10}" for name in table))
    total = dict.fromkeys(table, 0.0)
    for step in table["clean"]:
        cells = {name: measure(table[name][step], size) for name in table}
        for name, cost in cells.items():
            total[name] += cost
        print(f"{step:14}" + "".join(f"{cost:10.3f}" for cost in cells.values()))
    print(f"{'all':14}" + "".join(f"{cost:10.2f}" for cost in total.values()) + " µs a record")
    print(f"{'x from_json':14}" + "".join(f"{cost / yardstick:10.2f}" for cost in total.values()))


if __name__ == "__main__":
    main()
