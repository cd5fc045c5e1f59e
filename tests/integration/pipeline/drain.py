"""Runs an engine in a process of its own, so that a test may kill it. Settings come from the environment."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from watling.config import load_settings
from watling.contracts import load_contracts
from watling.errors import WatlingError

if os.environ.get("DRAIN_ENGINE") == "spark":
    from watling.pipeline.engines.spark.engine import run
else:
    from watling.pipeline.engines.embedded import run


def main(options: dict[str, object]) -> int:
    settings = load_settings()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print("ready", file=sys.stderr, flush=True)
    try:
        report = run(settings, load_contracts(settings.contracts_dir), stop=stop, **options)  # type: ignore[arg-type]
    except WatlingError as error:
        print(json.dumps({"error": type(error).__name__, "message": error.message}))
        return error.exit_code
    print(json.dumps({n: [s.landed, s.quarantined, s.duplicates, s.lost, s.error] for n, s in report.streams.items()}))
    return 1 if report.failed else 0


if __name__ == "__main__":
    raise SystemExit(main(json.loads(sys.argv[1])))
