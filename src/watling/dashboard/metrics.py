"""Receives the status that the page shows; gives the same numbers to Prometheus at `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

GAUGES = {
    "rate": ("watling_stream_rate_records_per_second", "Records a second that arrive at the topic"),
    "lag_records": ("watling_stream_lag_records", "Records of the topic that the lake does not have yet"),
    "lag_seconds": ("watling_stream_lag_seconds", "How long the oldest of them has waited"),
    "freshness_seconds": ("watling_stream_freshness_seconds", "Age of the newest row in the lake"),
    "commit_seconds": ("watling_stream_commit_seconds", "How long the pipeline's last commit took"),
}
COUNTERS = {
    "landed": ("watling_stream_landed_records", "Rows in the stream's table"),
    "quarantined": ("watling_stream_quarantined_records", "Records in quarantine, duplicates among them"),
    "duplicates": ("watling_stream_duplicate_records", "Duplicates among the quarantined"),
    "lost": ("watling_stream_lost_records", "Records that Kafka removed before the lake had them"),
    "skipped": ("watling_page_skipped_records", "Records that the page passed over at its start; the lake has them"),
}


class StatusCollector(Collector):
    """Asks for the status at each scrape. What is not known is left out."""

    def __init__(self, status: Callable[[], dict[str, Any]], frames: Callable[[], tuple[int, int]]) -> None:
        self._status = status
        self._frames = frames

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        for key, (name, text) in GAUGES.items():
            gauge = GaugeMetricFamily(name, text, labels=["stream"])
            for stream, row in status["streams"].items():
                if row.get(key) is not None:
                    gauge.add_metric([stream], float(row[key]))
            yield gauge
        for key, (name, text) in COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=["stream"])
            for stream, row in status["streams"].items():
                if row.get(key) is not None:
                    counter.add_metric([stream], float(row[key]))
            yield counter
        state = GaugeMetricFamily(
            "watling_stream_state", "1 for the state that the stream is in", labels=["stream", "state"]
        )
        for stream, row in status["streams"].items():
            state.add_metric([stream, row["state"]], 1)
        yield state
        restarts = CounterMetricFamily(
            "watling_part_restarts", "How often `watling up` started the part anew", labels=["part"]
        )
        for part, told in ((status.get("supervisor") or {}).get("parts") or {}).items():
            restarts.add_metric([part], told["restarts"])
        yield restarts
        yield GaugeMetricFamily("watling_page_viewers", "Open viewers of the page", value=status["viewers"])
        frames, size = self._frames()
        yield CounterMetricFamily("watling_page_frames", "Updates encoded for the viewers", value=frames)
        yield CounterMetricFamily("watling_page_frame_bytes", "Their bytes", value=size)
        yield GaugeMetricFamily("watling_fleet_vehicles", "Vehicles known to the page", value=status["fleet"]["total"])


def make_registry(status: Callable[[], dict[str, Any]], frames: Callable[[], tuple[int, int]]) -> CollectorRegistry:
    """A registry of the page's own, with the process's figures."""
    registry = CollectorRegistry()
    registry.register(StatusCollector(status, frames))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
