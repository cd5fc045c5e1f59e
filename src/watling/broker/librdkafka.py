"""Receives nothing; gives the fetch the C functions of the librdkafka that the confluent-kafka wheel ships.

Confluent's Python layer makes one object a record. The same library also hands over records as C pointers, which
`walk.py` reads without Python. Names and layouts are those of `rdkafka.h`, librdkafka 2.x, on 64-bit machines.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.util
from collections.abc import Mapping
from ctypes import POINTER, c_char, c_char_p, c_int, c_int32, c_int64, c_size_t, c_ssize_t, c_void_p
from pathlib import Path

from watling.errors import ConfigError, WatlingError

PARTITION_EOF = -191
AUTO_OFFSET_RESET = -140  # with auto.offset.reset=error: the offset is not on the broker
FATAL = -150
GONE = frozenset({-188, -190, 3, 100, 103})  # unknown topic, partition, topic or partition, topic id; inconsistent id
DENIED = frozenset({29, 30, 31})  # topic, group, cluster authorization

EVENT_LOG = 0x4
EVENT_ERROR = 0x8
DESTROY_NO_CONSUMER_CLOSE = 0x8

ERROR_CALLBACK = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_char_p, c_void_p)
"""Called with (client, error code, text, nothing) by the thread that asks for messages. Keep a reference to it."""

TUNING: dict[str, object] = {
    "fetch.queue.backoff.ms": 5,  # default 1000: a fast reader stands still for it
    "fetch.wait.max.ms": 100,  # how late the end of a partition is seen
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 4 * 1024,  # all partitions together, on the wire's side of decompression
    "max.partition.fetch.bytes": 512 * 1024,  # a larger record still comes, alone
    "fetch.max.bytes": 4 * 1024 * 1024,
    "receive.message.max.bytes": 128 * 1024 * 1024,
    "reconnect.backoff.max.ms": 2000,
    "topic.metadata.propagation.max.ms": 5000,  # how long a topic that is not there counts as just being made
}
"""Defaults that a caller's settings may replace."""

FIXED: dict[str, object] = {
    "enable.auto.commit": False,
    "auto.commit.enable": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
    "allow.auto.create.topics": False,
    "log.queue": True,
}
"""What the promise of exactly once rests on; a caller's settings do not change it."""

ANY_OPERATION = 0  # of the options of a question to the cluster

_PRODUCER, _CONSUMER = 0, 1
_OLDEST = 0x02030000  # describes topics
_ERRSTR = 512


class Message(ctypes.Structure):
    """`rd_kafka_message_t`: 72 bytes. `walk.py` reads the same offsets."""

    _fields_ = (
        ("err", c_int),
        ("rkt", c_void_p),
        ("partition", c_int32),
        ("payload", c_void_p),
        ("len", c_size_t),
        ("key", c_void_p),
        ("key_len", c_size_t),
        ("offset", c_int64),
        ("_private", c_void_p),
    )


class _MetadataPartition(ctypes.Structure):
    _fields_ = (
        ("id", c_int32),
        ("err", c_int),
        ("leader", c_int32),
        ("replica_cnt", c_int),
        ("replicas", c_void_p),
        ("isr_cnt", c_int),
        ("isrs", c_void_p),
    )


class _MetadataTopic(ctypes.Structure):
    _fields_ = (
        ("topic", c_char_p),
        ("partition_cnt", c_int),
        ("partitions", POINTER(_MetadataPartition)),
        ("err", c_int),
    )


class _Metadata(ctypes.Structure):
    _fields_ = (
        ("broker_cnt", c_int),
        ("brokers", c_void_p),
        ("topic_cnt", c_int),
        ("topics", POINTER(_MetadataTopic)),
        ("orig_broker_id", c_int32),
        ("orig_broker_name", c_char_p),
    )


_FUNCTIONS: dict[str, tuple[object, tuple[object, ...]]] = {
    "rd_kafka_version": (c_int, ()),
    "rd_kafka_err2str": (c_char_p, (c_int,)),
    "rd_kafka_last_error": (c_int, ()),
    "rd_kafka_conf_new": (c_void_p, ()),
    "rd_kafka_conf_destroy": (None, (c_void_p,)),
    "rd_kafka_conf_set": (c_int, (c_void_p, c_char_p, c_char_p, POINTER(c_char), c_size_t)),
    "rd_kafka_conf_set_events": (None, (c_void_p, c_int)),
    "rd_kafka_conf_set_error_cb": (None, (c_void_p, ERROR_CALLBACK)),
    "rd_kafka_new": (c_void_p, (c_int, c_void_p, POINTER(c_char), c_size_t)),
    "rd_kafka_destroy_flags": (None, (c_void_p, c_int)),
    "rd_kafka_set_log_queue": (c_int, (c_void_p, c_void_p)),
    "rd_kafka_fatal_error": (c_int, (c_void_p, POINTER(c_char), c_size_t)),
    "rd_kafka_topic_new": (c_void_p, (c_void_p, c_char_p, c_void_p)),
    "rd_kafka_topic_destroy": (None, (c_void_p,)),
    "rd_kafka_queue_new": (c_void_p, (c_void_p,)),
    "rd_kafka_queue_get_main": (c_void_p, (c_void_p,)),
    "rd_kafka_queue_destroy": (None, (c_void_p,)),
    "rd_kafka_queue_poll": (c_void_p, (c_void_p, c_int)),
    "rd_kafka_event_type": (c_int, (c_void_p,)),
    "rd_kafka_event_error": (c_int, (c_void_p,)),
    "rd_kafka_event_error_string": (c_char_p, (c_void_p,)),
    "rd_kafka_event_log": (c_int, (c_void_p, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_int))),
    "rd_kafka_event_destroy": (None, (c_void_p,)),
    "rd_kafka_consume_start_queue": (c_int, (c_void_p, c_int32, c_int64, c_void_p)),
    "rd_kafka_consume_stop": (c_int, (c_void_p, c_int32)),
    "rd_kafka_consume_batch_queue": (c_ssize_t, (c_void_p, c_int, c_void_p, c_size_t)),
    "rd_kafka_message_errstr": (c_char_p, (c_void_p,)),
    "rd_kafka_message_destroy": (None, (c_void_p,)),
    "rd_kafka_message_timestamp": (c_int64, (c_void_p, POINTER(c_int))),
    "rd_kafka_message_headers": (c_int, (c_void_p, POINTER(c_void_p))),
    "rd_kafka_header_get_all": (
        c_int,
        (c_void_p, c_size_t, POINTER(c_char_p), POINTER(c_void_p), POINTER(c_size_t)),
    ),
    "rd_kafka_metadata": (c_int, (c_void_p, c_int, c_void_p, POINTER(POINTER(_Metadata)), c_int)),
    "rd_kafka_metadata_destroy": (None, (c_void_p,)),
    "rd_kafka_AdminOptions_new": (c_void_p, (c_void_p, c_int)),
    "rd_kafka_AdminOptions_set_request_timeout": (c_int, (c_void_p, c_int, POINTER(c_char), c_size_t)),
    "rd_kafka_AdminOptions_destroy": (None, (c_void_p,)),
    "rd_kafka_TopicCollection_of_topic_names": (c_void_p, (POINTER(c_char_p), c_size_t)),
    "rd_kafka_TopicCollection_destroy": (None, (c_void_p,)),
    "rd_kafka_DescribeTopics": (None, (c_void_p, c_void_p, c_void_p, c_void_p)),
    "rd_kafka_event_DescribeTopics_result": (c_void_p, (c_void_p,)),
    "rd_kafka_DescribeTopics_result_topics": (POINTER(c_void_p), (c_void_p, POINTER(c_size_t))),
    "rd_kafka_TopicDescription_name": (c_char_p, (c_void_p,)),
    "rd_kafka_TopicDescription_error": (c_void_p, (c_void_p,)),
    "rd_kafka_TopicDescription_topic_id": (c_void_p, (c_void_p,)),
    "rd_kafka_error_code": (c_int, (c_void_p,)),
    "rd_kafka_Uuid_base64str": (c_char_p, (c_void_p,)),
}


def find_library() -> str:
    """Path of the shared library: the wheel's own (Linux, macOS, Windows), else the system's.

    Raises:
        WatlingError: there is none.
    """
    spec = importlib.util.find_spec("confluent_kafka")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        for folder in (package.parent / "confluent_kafka.libs", package / ".dylibs", package.parent / ".dylibs"):
            for path in sorted(folder.glob("*rdkafka*")):
                if "++" not in path.name and any(part in path.name for part in (".so", ".dylib", ".dll")):
                    return str(path)
    system = ctypes.util.find_library("rdkafka")
    if system is not None:
        return system
    raise WatlingError(
        "librdkafka was not found: neither in the confluent-kafka package nor on the system. "
        "Install confluent-kafka from its wheel, or librdkafka 2 with the system's package manager."
    )


@functools.cache
def library() -> ctypes.CDLL:
    """The loaded library with the signatures of all functions used. Its calls release Python's lock.

    Raises:
        WatlingError: not found, not loadable, older than 2.3, or a 32-bit machine.
    """
    path = find_library()
    if ctypes.sizeof(c_void_p) != 8:
        raise WatlingError("reading from Kafka in batches needs a 64-bit Python")
    try:
        loaded = ctypes.CDLL(path)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(loaded, name)
            function.restype = result
            function.argtypes = arguments
    except (OSError, AttributeError) as error:
        raise WatlingError(f"librdkafka at {path} cannot be used: {error}. Install confluent-kafka 2.16.") from error
    if loaded.rd_kafka_version() < _OLDEST:
        raise WatlingError(f"librdkafka at {path} is older than 2.3. Install confluent-kafka 2.16.")
    return loaded


def address(name: str) -> int:
    """Where that C function lies, for callers that call it without Python."""
    return ctypes.cast(getattr(library(), name), c_void_p).value or 0


def new_consumer(config: Mapping[str, object], on_error: ctypes._FuncPointer) -> int:
    """A consumer handle with those librdkafka properties over TUNING and under FIXED.

    Its log, and errors of the client, are events of its main queue; errors of a topic go to `on_error`, an
    ERROR_CALLBACK.

    Raises:
        ConfigError: naming every property that librdkafka refuses.
        WatlingError: the client cannot be made.
    """
    lib = library()
    conf = _conf({**TUNING, **config, **FIXED})
    lib.rd_kafka_conf_set_events(conf, EVENT_LOG | EVENT_ERROR)
    lib.rd_kafka_conf_set_error_cb(conf, on_error)
    client = _new(_CONSUMER, conf)
    lib.rd_kafka_set_log_queue(client, None)
    return client


def new_asker(config: Mapping[str, object]) -> int:
    """A handle to ask the cluster with, that neither reads nor writes. It logs nothing; errors of the client are events
    of its main queue.

    Raises:
        ConfigError: naming every property that librdkafka refuses.
        WatlingError: the client cannot be made.
    """
    conf = _conf({**config, "log_level": 0})
    library().rd_kafka_conf_set_events(conf, EVENT_ERROR)
    return _new(_PRODUCER, conf)


def _conf(properties: Mapping[str, object]) -> int:
    lib = library()
    text = ctypes.create_string_buffer(_ERRSTR)
    conf = lib.rd_kafka_conf_new()
    problems = []
    for name, value in properties.items():
        as_text = str(value).lower() if isinstance(value, bool) else str(value)
        if lib.rd_kafka_conf_set(conf, name.encode(), as_text.encode(), text, _ERRSTR) != 0:
            problems.append(f"kafka property {name}: {text.value.decode(errors='replace')}")
    if problems:
        lib.rd_kafka_conf_destroy(conf)
        raise ConfigError(problems)
    return int(conf)


def _new(kind: int, conf: int) -> int:
    """A client of that kind; it takes the configuration over."""
    lib = library()
    text = ctypes.create_string_buffer(_ERRSTR)
    client = lib.rd_kafka_new(kind, conf, text, _ERRSTR)
    if not client:
        lib.rd_kafka_conf_destroy(conf)
        raise WatlingError(f"the Kafka client cannot be made: {text.value.decode(errors='replace')}")
    return int(client)


def error_text(code: int) -> str:
    """What that error code means, in librdkafka's words."""
    return (library().rd_kafka_err2str(code) or b"unknown error").decode(errors="replace")


def fatal_error(client: int) -> str | None:
    """What made the client unusable, if anything did."""
    text = ctypes.create_string_buffer(_ERRSTR)
    if library().rd_kafka_fatal_error(client, text, _ERRSTR) == 0:
        return None
    return text.value.decode(errors="replace")


def partitions_there(client: int, topic: int, timeout_s: float) -> frozenset[int] | None:
    """The topic's partitions as the broker has them now, empty if there is no such topic; None: it did not answer."""
    lib = library()
    metadata = POINTER(_Metadata)()
    if lib.rd_kafka_metadata(client, 0, topic, ctypes.byref(metadata), int(timeout_s * 1000)) != 0:
        return None
    try:
        found = metadata.contents
        if found.topic_cnt < 1:
            return frozenset()
        described = found.topics[0]
        if described.err != 0:
            return frozenset() if described.err in GONE else None
        return frozenset(described.partitions[i].id for i in range(described.partition_cnt))
    finally:
        lib.rd_kafka_metadata_destroy(metadata)
