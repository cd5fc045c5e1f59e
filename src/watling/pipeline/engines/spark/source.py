"""Receives settings and a stream's offsets; gives its topic as a streaming DataFrame of committed records.

Options are Spark's own (`spark-sql-kafka-0-10`). Loss is judged by the engine, not by Spark, unless a caller asks for it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from watling.config import Settings
from watling.contracts.model import Contract

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

log = logging.getLogger(__name__)

HEADERS = "to_json(transform(headers, h -> struct(base64(encode(h.key, 'UTF-8')) as k, base64(h.value) as v)))"
COLUMNS = (
    "value",
    "key",
    f"if(headers is null, null, {HEADERS}) as headers",  # as text: handing nested lists to Python costs 15 µs a record
    "partition",
    "offset",
    "greatest(timestamp, timestamp_millis(0)) as timestamp",  # -1 ms: the record has none
)


def client_options(settings: Settings) -> dict[str, str]:
    """Properties of the Java client, each with Spark's prefix `kafka.`; those of `spark.kafka` win."""
    kafka = settings.kafka
    found = {"bootstrap.servers": settings.bootstrap_servers, "isolation.level": "read_committed"}
    if kafka.security_protocol:
        found["security.protocol"] = kafka.security_protocol
    if kafka.sasl_mechanism:
        found["sasl.mechanism"] = kafka.sasl_mechanism
    if kafka.sasl_username and kafka.sasl_password:
        scram = (kafka.sasl_mechanism or "").upper().startswith("SCRAM")
        module = "scram.ScramLoginModule" if scram else "plain.PlainLoginModule"
        user, word = (_quoted(v) for v in (kafka.sasl_username, kafka.sasl_password.get_secret_value()))
        found["sasl.jaas.config"] = (
            f"org.apache.kafka.common.security.{module} required username={user} password={word};"
        )
    if kafka.ssl_ca_location:
        found |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(kafka.ssl_ca_location)}
    if kafka.properties and not settings.spark.kafka:
        log.warning(
            "`kafka.properties` are librdkafka's and not Spark's: give what its Java client needs in `spark.kafka`"
        )
    found |= {name: value.get_secret_value() for name, value in settings.spark.kafka.items()}
    found["isolation.level"] = "read_committed"  # what exactly once rests on
    return {f"kafka.{name}": value for name, value in found.items()}


def open_stream(
    spark: SparkSession,
    settings: Settings,
    contract: Contract,
    starts: Mapping[int, int],
    *,
    fail_on_loss: bool = False,
) -> DataFrame:
    """The topic from these offsets on (a checkpoint's own win): columns as in COLUMNS, in offset order in each partition.

    `fail_on_loss`: Spark itself ends the query when offsets that it planned to read are gone.
    """
    limits = {
        "maxOffsetsPerTrigger": settings.spark.max_offsets_per_trigger,
        "minOffsetsPerTrigger": settings.spark.min_offsets_per_trigger,
    }
    options = {
        **client_options(settings),
        "subscribe": contract.topic,
        "startingOffsets": json.dumps({contract.topic: {str(p): o for p, o in sorted(starts.items())}}),
        "includeHeaders": "true",
        "failOnDataLoss": str(fail_on_loss).lower(),
        "minPartitions": str(spark.sparkContext.defaultParallelism),
        "maxTriggerDelay": f"{settings.spark.max_trigger_delay_s:g}s",
        **{name: str(value) for name, value in limits.items() if value is not None},
    }
    return spark.readStream.format("kafka").options(**options).load().selectExpr(*COLUMNS)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
