"""A Spark job from Kafka to an Iceberg table as one writes it by hand: from_json by a schema, then Iceberg's own sink.

    python bench/spark_iceberg_job.py BOOTSTRAP TOPIC OUT JARS BATCH

Run by `bench/spark.py`, never by hand. It parses, drops what has no id, and appends: no check of a value, no quarantine,
no search for duplicates. Offsets are kept in Spark's checkpoint. The table is partitioned by day as Watling's is, with
the same compression, and written without a shuffle. The trigger is `availableNow`, BATCH records at most a batch.

It answers each line of standard input with one of JSON: the whole topic into a fresh table.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, from_json
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.types import ArrayType, DoubleType, IntegerType, StringType, StructField, StructType, TimestampType

VEHICLE = StructType(
    [
        StructField("id", StringType()),
        StructField("vehicle_id", StringType()),
        StructField("timestamp", TimestampType()),
        StructField("location", ArrayType(DoubleType())),
        StructField("speed", DoubleType()),
        StructField("direction", StringType()),
        StructField("make", StringType()),
        StructField("model", StringType()),
        StructField("year", IntegerType()),
        StructField("fuelType", StringType()),
    ]
)
TABLE = """
CREATE TABLE {} (
    id string, vehicle_id string, event_time timestamp, latitude double, longitude double, speed double,
    direction string, make string, model string, year int, fuel_type string,
    kafka_partition int, kafka_offset bigint, kafka_timestamp timestamp)
USING iceberg PARTITIONED BY (days(event_time))
TBLPROPERTIES (
    'format-version'='2', 'write.parquet.compression-codec'='zstd', 'write.parquet.compression-level'='1',
    'write.distribution-mode'='none', 'write.spark.fanout.enabled'='true',
    'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20')
"""


def one_pass(spark: SparkSession, bootstrap: str, topic: str, out: Path, table: str, batch: int) -> dict[str, Any]:
    """Read the topic from its beginning to its end into the table."""
    began = time.perf_counter()
    query = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap)
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", batch)
        .load()
        .select(
            from_json(col("value").cast("string"), VEHICLE).alias("v"),
            col("partition").alias("kafka_partition"),
            col("offset").alias("kafka_offset"),
            col("timestamp").alias("kafka_timestamp"),
        )
        .where("v.id is not null")
        .select(
            "v.id",
            "v.vehicle_id",
            col("v.timestamp").alias("event_time"),
            col("v.location")[0].alias("latitude"),
            col("v.location")[1].alias("longitude"),
            "v.speed",
            "v.direction",
            "v.make",
            "v.model",
            "v.year",
            col("v.fuelType").alias("fuel_type"),
            "kafka_partition",
            "kafka_offset",
            "kafka_timestamp",
        )
        .writeStream.format("iceberg")
        .outputMode("append")
        .option("checkpointLocation", str(out / "checkpoints" / table))
        .trigger(availableNow=True)
        .toTable(table)
    )
    query.awaitTermination()
    seconds = time.perf_counter() - began
    return {"seconds": seconds, **told([query], seconds)}


def told(queries: list[StreamingQuery], seconds: float) -> dict[str, Any]:
    """What Spark itself tells of queries: when the first batch began (Unix seconds), batches, seconds by part."""
    batches = sorted((p for q in queries for p in q.recentProgress if p["numInputRows"]), key=lambda p: p["timestamp"])
    trigger = sum(p["durationMs"]["triggerExecution"] for p in batches) / 1000
    batch = sum(p["durationMs"]["addBatch"] for p in batches) / 1000
    return {
        "first": datetime.fromisoformat(batches[0]["timestamp"]).timestamp(),
        "batches": len(batches),
        "parts": {"start and end": seconds - trigger, "Spark's plan and log": trigger - batch, "batches": batch},
    }


def main() -> None:
    bootstrap, topic, out, jars, batch = sys.argv[1:]
    spark = (
        SparkSession.builder.appName("kafka to iceberg")
        .master("local[2]")
        .config("spark.jars", jars)
        .config("spark.driver.memory", "1g")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.streaming.numRecentProgressUpdates", "10000")
        .config("spark.local.dir", str(Path(out) / "scratch"))
        .config("spark.sql.catalog.lake", "org.apache.iceberg.spark.SparkCatalog")
        .config("spark.sql.catalog.lake.type", "hadoop")
        .config("spark.sql.catalog.lake.warehouse", (Path(out) / "warehouse").as_uri())
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for number, _ in enumerate(sys.stdin):
        table = f"lake.city.vehicle_{number}"
        spark.sql(TABLE.format(table))
        answer = one_pass(spark, bootstrap, topic, Path(out), table, int(batch))
        print(json.dumps({**answer, "landed": spark.table(table).count()}), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
