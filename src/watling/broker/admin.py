"""Receives settings and contracts; gives topics: made, named by Kafka's id, with their offsets."""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Generic, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from confluent_kafka.admin import OffsetSpec as OffsetSpec  # type: ignore[attr-defined]

from watling.broker.asker import Asker
from watling.broker.client import admin_client, admin_config, client_config
from watling.broker.errors import BrokerUnreachable, KafkaRefused
from watling.broker.librdkafka import error_text
from watling.config import Settings
from watling.contracts.model import Contract
from watling.errors import WatlingError

TIMEOUT_S = 10.0
EARLIEST, LATEST = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]
FOR_A_MOMENT = (  # of a topic just made, or a broker just started
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._NOENT,  # librdkafka's own word for "no leaders found"
)
SILENT = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError.REQUEST_TIMED_OUT,
)
T = TypeVar("T")
CLIENTS_KEPT = 4


class _Kept(Generic[T]):
    """One client a process and cluster: each keeps threads and connections of its own. The last few are kept.

    Hold it until the answer is there: a client that nobody holds ends, and its questions with it. One that got no answer
    is to be let go: after a restart of its broker librdkafka (2.16) may wait for a controller that is long back.
    """

    def __init__(self, make: Callable[[Settings], T]) -> None:
        self._make = make
        self._clients: OrderedDict[tuple[tuple[str, str | int | float | bool], ...], T] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, settings: Settings) -> T:
        key = self._key(settings)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._make(settings)
            self._clients.move_to_end(key)
            while len(self._clients) > CLIENTS_KEPT:
                self._clients.popitem(last=False)
            return self._clients[key]

    def let_go(self, settings: Settings) -> None:
        """The next call gets a new client."""
        with self._lock:
            self._clients.pop(self._key(settings), None)

    @staticmethod
    def _key(settings: Settings) -> tuple[tuple[str, str | int | float | bool], ...]:
        return tuple(sorted(client_config(settings).items()))


_client = _Kept[AdminClient](admin_client)
_asker = _Kept[Asker](lambda settings: Asker(admin_config(settings)))


def _unreachable(settings: Settings, error: object) -> BrokerUnreachable:
    """What to raise when nobody answers; the clients that waited for it are let go."""
    _client.let_go(settings)
    _asker.let_go(settings)
    help_ = (
        "Start it with `watling broker start` (or `watling up`)."
        if settings.embedded_broker
        else "Check `kafka.bootstrap_servers` and the security settings in `watling config show`."
    )
    return BrokerUnreachable(f"no Kafka answers at {settings.bootstrap_servers}: {error}. {help_}")


def _wait(settings: Settings, future: Future[T], timeout_s: float = TIMEOUT_S) -> T:
    try:
        return future.result(timeout_s)
    except FutureTimeout:
        raise _unreachable(settings, "no answer in time") from None
    except KafkaException as error:
        raise _said(settings, error.args[0].code(), error.args[0].str()) from None


def _said(settings: Settings, code: int, text: str) -> WatlingError:
    """What that answer of Kafka's client means."""
    if code in SILENT:
        return _unreachable(settings, text)
    return KafkaRefused(f"Kafka at {settings.bootstrap_servers} refused: {text}", code)


def ping(settings: Settings, timeout_s: float = 3.0) -> str:
    """The cluster's id.

    Raises:
        BrokerUnreachable: nobody answers within the time.
    """
    client = _client(settings)
    result = _wait(settings, client.describe_cluster(request_timeout=timeout_s), timeout_s + 0.5)
    return str(result.cluster_id)


def brokers(settings: Settings) -> int:
    """How many brokers the one that answers knows. 0: it has just started, and has not heard yet of itself.

    Raises:
        BrokerUnreachable: nobody answers within the time.
    """
    client = _client(settings)
    return len(_wait(settings, client.describe_cluster(request_timeout=TIMEOUT_S)).nodes)


def ensure_topics(settings: Settings, contracts: Mapping[str, Contract]) -> list[str]:
    """Make the streams' topics that are missing; gives their names. Existing ones are left as they are.

    A broker answers that a topic is made before it knows of it by itself: this waits until it does.

    Raises:
        BrokerUnreachable: nobody answers within the time.
        KafkaRefused: Kafka makes none of them, or has been deleting one of that name for too long.
    """
    there = topic_ids(settings, [c.topic for c in contracts.values()])
    missing = sorted({c.topic for c in contracts.values()} - there.keys())
    if not missing:
        return []
    config = {
        "retention.ms": str(settings.broker.retention_hours * 3_600_000),
        "max.message.bytes": str(settings.broker.max_record_bytes),
    }
    topics = [
        NewTopic(t, settings.broker.partitions, 1 if settings.embedded_broker else -1, config=config) for t in missing
    ]
    client = _client(settings)
    deadline = time.monotonic() + TIMEOUT_S
    while topics:
        there_already = set()
        for name, future in client.create_topics(topics, request_timeout=TIMEOUT_S).items():
            try:
                _wait(settings, future)
            except KafkaRefused as error:
                if error.code != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
                there_already.add(name)
        # made by another in the meantime; or, under ZooKeeper, still being deleted: that takes a moment
        leaving = there_already - topic_ids(settings, there_already).keys() if there_already else set()
        topics = [topic for topic in topics if topic.topic in leaving]
        if topics and time.monotonic() > deadline:
            raise KafkaRefused(
                f"Kafka at {settings.bootstrap_servers} is still deleting {', '.join(sorted(leaving))}. Start again later.",
                KafkaError.TOPIC_ALREADY_EXISTS,
            )
        if topics:
            time.sleep(random.uniform(0.2, 0.5))  # noqa: S311 - jitter
    while not all(partitions(settings, name) for name in missing) and time.monotonic() < deadline:
        time.sleep(random.uniform(0.05, 0.2))  # noqa: S311 - jitter
    return missing


def delete_topic(settings: Settings, topic: str) -> None:
    """Delete a topic with all its records."""
    client = _client(settings)
    _wait(settings, client.delete_topics([topic], request_timeout=TIMEOUT_S)[topic])


def topic_ids(settings: Settings, topics: Iterable[str]) -> dict[str, str]:
    """{topic: Kafka's id for it} of those that exist. A topic made anew has another id.

    Raises:
        BrokerUnreachable: nobody answers within the time, or only a broker that has just started and, under ZooKeeper,
            has not heard yet what there is: that a topic is not there is not to be believed then.
        KafkaRefused: Kafka answers with an error.
    """
    asked = sorted(set(topics))
    found = {}
    try:
        answers = _asker(settings).topic_ids(asked, TIMEOUT_S) if asked else {}
    except KafkaException as error:
        raise _said(settings, error.args[0].code(), error.args[0].str()) from None
    for name, answer in answers.items():
        if isinstance(answer, str):
            found[name] = answer
        elif answer != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise _said(settings, answer, error_text(answer))
    if len(found) < len(asked) and not brokers(settings):
        raise _unreachable(settings, "it has just started and knows no broker yet")
    return found


def partitions(settings: Settings, topic: str) -> list[int]:
    """Partitions of a topic in order; empty when it does not exist."""
    client = _client(settings)
    future = client.describe_topics(TopicCollection([topic]), request_timeout=TIMEOUT_S)[topic]
    try:
        return sorted(p.id for p in _wait(settings, future).partitions)
    except KafkaRefused as error:
        if error.code != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise
        return []


def watermarks(settings: Settings, topic: str, known: Iterable[int] | None = None) -> dict[int, tuple[int, int]]:
    """{partition: (first offset there is, offset after the last committed record)}; empty when there is no such topic.

    `known` are the partitions to ask for; None asks for all.

    Raises:
        BrokerUnreachable: nobody answers within the time, or the topic has no leader for that long.
        KafkaRefused: Kafka answers with an error.
    """
    numbers = partitions(settings, topic) if known is None else list(known)
    if not numbers:
        return {}
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            low, high = (_offsets(settings, topic, numbers, spec) for spec in (EARLIEST, LATEST))
            return {p: (low[p], high[p]) for p in numbers}
        except KafkaRefused as error:
            if error.code not in FOR_A_MOMENT:
                raise
            if not partitions(settings, topic):
                return {}  # deleted in between
            if time.monotonic() > deadline:
                raise _unreachable(settings, error.message) from None
            time.sleep(random.uniform(0.05, 0.2))  # noqa: S311 - jitter


def _offsets(settings: Settings, topic: str, numbers: list[int], spec: OffsetSpec) -> dict[int, int]:
    asked = {TopicPartition(topic, p): spec for p in numbers}
    client = _client(settings)
    answer = client.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=TIMEOUT_S)
    return {tp.partition: _wait(settings, future).offset for tp, future in answer.items()}
