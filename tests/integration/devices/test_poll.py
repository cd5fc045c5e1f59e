"""Polling against a real server that misbehaves in every way that feeds do."""

from __future__ import annotations

import gzip
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from google.transit import gtfs_realtime_pb2 as gtfs

from watling.devices.poll import Key, Limits, Poll, PollError, parse_every
from watling.devices.sources import Options
from watling.errors import UsageError

Answers = Callable[[BaseHTTPRequestHandler, int], None]


class Server:
    """A server on a free port whose answers a test writes; it keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answer: Answers = lambda h, n: reply(h, b"")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                try:
                    outer.answer(self, len(outer.asked))
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


def reply(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in (
        {"Content-Length": str(len(body))} | {k.replace("_", "-"): v for k, v in headers.items()}
    ).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.http.shutdown()
    one.http.server_close()


LINES = b"".join(
    json.dumps({"id": f"i{i}", "vehicle_id": f"v{i}", "timestamp": "2024-01-01T00:00:00Z"}).encode() + b"\n"
    for i in range(3)
)


def run(
    server: Server, path: str = "/vehicle.ndjson", times: int = 1, source: str = "ndjson", **how: Any
) -> tuple[list[dict[str, Any]], Poll, list[float]]:
    """Poll without waiting; gives the records, the poll, and how long it would have waited."""
    waits: list[float] = []
    poll = Poll(
        source,
        server.url + path,
        15.0,
        options=how.pop("options", Options(extra={"stream": "vehicle"})),
        times=times,
        wait=waits.append,
        **how,
    )
    records = [json.loads(v) for b in poll.batches() for v in b.records["value"].to_pylist()]
    return records, poll, waits


def test_what_has_not_changed_is_asked_for_conditionally(server: Server) -> None:
    """The feed's owner would block a client that downloads everything each time."""

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        if handler.headers.get("If-None-Match") == '"e1"':
            reply(handler, b"", 304)
        else:
            reply(handler, LINES, ETag='"e1"', Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT")

    server.answer = answer
    records, poll, waits = run(server, times=3)
    assert [r["vehicle_id"] for r in records] == ["v0", "v1", "v2"]
    assert (poll.polls.fresh, poll.polls.not_modified, poll.polls.failed) == (1, 2, 0)
    assert server.asked[1][1]["if-modified-since"] == "Mon, 01 Jan 2024 00:00:00 GMT"
    assert server.asked[0][1]["user-agent"].startswith("watling/")
    assert server.asked[0][1]["accept-encoding"] == "gzip"
    assert all(14 < w <= 15 for w in waits)


def test_unchanged_entities_are_not_sent_again(server: Server) -> None:
    """Each bus would be in the lake once a request, moved or not."""

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        feed = gtfs.FeedMessage()
        feed.header.gtfs_realtime_version = "2.0"
        feed.header.timestamp = 1_700_000_000 + number * 15
        for name, moves, clock in (
            ("stands", 0, True),
            ("moves", number, True),
            ("no clock, stands", 0, False),
            ("no clock, moves", number, False),
        ):
            entity = feed.entity.add(id=f"{number}-{name}")
            entity.vehicle.vehicle.id = name
            entity.vehicle.position.latitude = 51.5 + moves / 100
            entity.vehicle.position.longitude = 0
            if clock:
                entity.vehicle.timestamp = 1_700_000_000 + moves
        reply(handler, feed.SerializeToString())

    server.answer = answer
    records, poll, _ = run(server, "/feed.pb", times=3, source="gtfs-rt", options=Options())
    sent = [r["vehicle_id"] for r in records]
    assert {name: sent.count(name) for name in sent} == {
        "stands": 2,
        "moves": 6,
        "no clock, stands": 2,
        "no clock, moves": 6,
    }
    assert poll.polls.unchanged == 8


def test_gzip_of_both_kinds(server: Server) -> None:
    """Feeds that are packed on the way, or lie packed on the server, would not be read."""
    server.answer = lambda h, n: (
        reply(h, gzip.compress(LINES), Content_Encoding="gzip")
        if n == 1
        else reply(h, gzip.compress(LINES + b'{"vehicle_id":"v9","timestamp":"2024-01-01T00:00:01Z"}\n'))
    )
    records, _, _ = run(server, times=2)
    assert [r["vehicle_id"] for r in records] == ["v0", "v1", "v2", "v9"]


def test_failures_are_waited_out(server: Server) -> None:
    """A feed that is down for a minute would end the polling, or be hammered."""
    server.answer = lambda h, n: reply(h, b"no", 500) if n < 5 else reply(h, LINES)
    records, poll, waits = run(server, times=5)
    assert len(records) == 3
    assert poll.polls.failed == 4
    assert [7.5 * 2**i <= w <= 15 * 2**i for i, w in enumerate(waits)] == [True] * 4
    assert poll.polls.last_failure == "answers 500 Internal Server Error"


@pytest.mark.parametrize("kind", ["seconds", "date"])
def test_retry_after_is_honoured(server: Server, kind: str) -> None:
    """The feed's owner would block a client that does not wait when asked."""
    text = "120" if kind == "seconds" else format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)
    server.answer = lambda h, n: reply(h, b"", 429, Retry_After=text) if n == 1 else reply(h, LINES)
    records, _, waits = run(server, times=2)
    assert len(records) == 3
    assert 118 <= waits[0] <= 132


def test_a_truncated_body_is_not_used(server: Server) -> None:
    """Half of the buses would look like all of them, and the other half as if they had gone."""

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number == 1:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(LINES)))
            handler.end_headers()
            handler.wfile.write(LINES[:100])
            handler.close_connection = True
        elif number == 2:
            reply(handler, gzip.compress(LINES)[:-20], Content_Encoding="gzip")
        elif number == 3:
            reply(handler, b"\x1f\x8bnonsense", Content_Encoding="gzip")
        else:
            reply(handler, LINES)

    server.answer = answer
    records, poll, _ = run(server, times=4)
    assert len(records) == 3
    assert poll.polls.failed == 3
    assert poll.faults.count == 0


def test_bodies_are_bounded_packed_and_unpacked(server: Server) -> None:
    """A huge or hostile answer would fill the machine."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = pack.compress(b"\n" * 200_000_000) + pack.flush()

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number == 1:
            reply(handler, b"x" * 3_000_000)
        elif number == 2:
            reply(handler, bomb, Content_Encoding="gzip")
        elif number == 3:
            reply(handler, bomb)
        else:
            reply(handler, LINES)

    server.answer = answer
    records, poll, _ = run(server, times=4, limits=Limits(body=1_000_000))
    assert len(records) == 3
    assert poll.polls.failed == 3
    assert "larger than" in poll.polls.last_failure


def test_slow_answers_end(server: Server) -> None:
    """One server that never answers would stop the polling for ever."""

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number == 1:
            time.sleep(1.0)
        elif number == 2:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            for _ in range(40):
                handler.wfile.write(b"\n")
                time.sleep(0.05)
        else:
            reply(handler, LINES)

    server.answer = answer
    begin = time.monotonic()
    records, poll, _ = run(server, times=3, limits=Limits(read_s=0.3, total_s=0.6))
    assert len(records) == 3
    assert poll.polls.failed == 2
    assert time.monotonic() - begin < 5


def test_redirects_to_private_addresses(server: Server) -> None:
    """A feed could make the poller ask the machine's own services, or the cloud's metadata service."""
    other = Server()
    other.answer = lambda h, n: reply(h, LINES)
    try:
        server.answer = lambda h, n: reply(h, b"", 302, Location=other.url + "/vehicle.ndjson")
        with pytest.raises(PollError, match="not a public address"):
            run(server)
        assert other.asked == []
        records, _, _ = run(server, allow_private=True)
        assert len(records) == 3
        server.answer = lambda h, n: reply(h, b"", 302, Location="http://169.254.169.254/latest")
        with pytest.raises(PollError, match="not a public address"):
            run(server)
        server.answer = lambda h, n: reply(h, b"", 302, Location="file:///etc/passwd")
        with pytest.raises(PollError, match="no web address"):
            run(server)
        server.answer = lambda h, n: reply(h, b"", 302, Location="/again")
        with pytest.raises(PollError, match="redirects"):
            run(server)
        server.answer = lambda h, n: reply(h, LINES) if h.path == "/new" else reply(h, b"", 301, Location="/new")
        records, _, _ = run(server)
        assert len(records) == 3
    finally:
        other.http.shutdown()
        other.http.server_close()


def test_keys_come_from_the_environment_and_go_to_their_host_only(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key would stand in shell histories and logs, or be given to whom a feed redirects."""
    other = Server()
    other.answer = lambda h, n: reply(h, LINES)
    server.answer = lambda h, n: reply(h, b"", 302, Location=other.url + "/vehicle.ndjson")
    monkeypatch.setenv("FEED_KEY", "s3cret")
    try:
        run(server, key=Key("FEED_KEY", header="X-Api-Key"), allow_private=True)
        assert server.asked[0][1]["x-api-key"] == "s3cret"
        assert "x-api-key" not in other.asked[0][1]
        run(server, "/vehicle.ndjson?a=1", key=Key("FEED_KEY", parameter="api_key"), allow_private=True)
        assert server.asked[1][0] == "/vehicle.ndjson?a=1&api_key=s3cret"
        assert "s3cret" not in other.asked[1][0]
    finally:
        other.http.shutdown()
        other.http.server_close()
    monkeypatch.delenv("FEED_KEY")
    with pytest.raises(UsageError, match="FEED_KEY is not set"):
        run(server, key=Key("FEED_KEY", header="X-Api-Key"))
    for url in ("http://u:p@h/", "http://h/?api_key=1", "ftp://h/", "h"):
        with pytest.raises(UsageError):
            list(Poll("ndjson", url, 15).batches())


def test_what_is_refused_at_the_start_is_said(server: Server) -> None:
    """The user would wait for a feed that is not there."""
    server.answer = lambda h, n: reply(h, b"", 404)
    with pytest.raises(PollError, match="404 Not Found: check the address"):
        run(server)
    server.answer = lambda h, n: reply(h, LINES) if n == 2 else reply(h, b"", 404)
    records, poll, _ = run(server, times=2)
    assert len(records) == 3
    assert poll.polls.failed == 1


def test_a_server_that_is_away(server: Server) -> None:
    """A restart of the feed would end the polling."""
    server.http.shutdown()
    server.http.server_close()
    _, poll, waits = run(server, times=2)
    assert poll.polls.failed == 2
    assert "ConnectError" in poll.polls.last_failure
    assert len(waits) == 1


def test_stop_ends_the_waiting(server: Server) -> None:
    """Ctrl-C would take as long as the interval."""
    server.answer = lambda h, n: reply(h, LINES)
    poll = Poll("ndjson", server.url + "/vehicle.ndjson", 60.0)
    threading.Timer(0.3, poll.stop.set).start()
    begin = time.monotonic()
    assert sum(len(b.records) for b in poll.batches()) == 3
    assert time.monotonic() - begin < 5


def test_every() -> None:
    """An interval would be read in another unit."""
    assert [parse_every(t) for t in ("15s", "500ms", "2m", "1h", "7")] == [15, 0.5, 120, 3600, 7]
    for bad in ("", "0s", "soon", "15 parsecs", "-1s"):
        with pytest.raises(UsageError):
            parse_every(bad)
