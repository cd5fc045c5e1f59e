"""Receives names of topics; gives Kafka's ids for them, as often as one likes.

The wheel's own call for it never frees an id (confluent-kafka 2.16): a hundred bytes each, tens of MB a day for a pipeline
that asks at every commit. This asks the same librdkafka and gives everything back.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Mapping, Sequence
from ctypes import c_char_p, c_size_t

from confluent_kafka import KafkaError, KafkaException

from watling.broker import librdkafka

GRACE_MS = 500  # librdkafka's own limit comes first, and says more


class Asker:
    """A client of one cluster, for any number of threads. It ends when nobody holds it any more.

    Args:
        config: librdkafka properties: `bootstrap.servers`, security.

    Raises:
        ConfigError: properties that librdkafka refuses.
    """

    def __init__(self, config: Mapping[str, object]) -> None:
        self._lib = librdkafka.library()
        self._client = librdkafka.new_asker(config)
        self._main = self._lib.rd_kafka_queue_get_main(self._client)
        weakref.finalize(self, _end, self._lib, self._client, self._main).atexit = False

    def topic_ids(self, names: Sequence[str], timeout_s: float) -> dict[str, str | int]:
        """What the cluster calls those topics: {name: its id, or why it has none as an error code}.

        Raises:
            KafkaException: the cluster did not answer; with what the client met on its way, if anything.
        """
        lib = self._lib
        queue = lib.rd_kafka_queue_new(self._client)
        options = lib.rd_kafka_AdminOptions_new(self._client, librdkafka.ANY_OPERATION)
        asked = (c_char_p * len(names))(*(name.encode() for name in names))
        topics = lib.rd_kafka_TopicCollection_of_topic_names(asked, len(names))
        event = None
        try:
            lib.rd_kafka_AdminOptions_set_request_timeout(options, int(timeout_s * 1000), None, 0)
            lib.rd_kafka_DescribeTopics(self._client, topics, options, queue)
            event = lib.rd_kafka_queue_poll(queue, int(timeout_s * 1000) + GRACE_MS)
            met = self._met()
            code = lib.rd_kafka_event_error(event) if event else KafkaError._TIMED_OUT
            if code:
                text = librdkafka.error_text(code)
                raise KafkaException(KafkaError(code, f"{text} ({met})" if met else text))
            return self._read(event)
        finally:
            if event:
                lib.rd_kafka_event_destroy(event)
            lib.rd_kafka_TopicCollection_destroy(topics)
            lib.rd_kafka_AdminOptions_destroy(options)
            lib.rd_kafka_queue_destroy(queue)

    def _met(self) -> str:
        """The last error that the client told of a broker: it knows why, where an answer knows only that it is late."""
        lib, met = self._lib, ""
        while event := lib.rd_kafka_queue_poll(self._main, 0):
            code = lib.rd_kafka_event_error(event)
            if code and code != KafkaError._ALL_BROKERS_DOWN:
                met = (lib.rd_kafka_event_error_string(event) or b"").decode(errors="replace")
            lib.rd_kafka_event_destroy(event)
        return met

    def _read(self, event: int) -> dict[str, str | int]:
        lib = self._lib
        count = c_size_t()
        result = lib.rd_kafka_event_DescribeTopics_result(event)
        found = lib.rd_kafka_DescribeTopics_result_topics(result, ctypes.byref(count))
        answers: dict[str, str | int] = {}
        for topic in (found[i] for i in range(count.value)):
            error = lib.rd_kafka_TopicDescription_error(topic)
            code = lib.rd_kafka_error_code(error) if error else 0
            id_ = lib.rd_kafka_TopicDescription_topic_id(topic)
            name = lib.rd_kafka_TopicDescription_name(topic).decode()
            answers[name] = code or lib.rd_kafka_Uuid_base64str(id_).decode()
        return answers


def _end(lib: ctypes.CDLL, client: int, main: int) -> None:
    lib.rd_kafka_queue_destroy(main)
    lib.rd_kafka_destroy_flags(client, 0)
