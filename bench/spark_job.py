"""The tutorial family's Spark job, as it stands there but for its end: Kafka -> from_json -> Parquet with a checkpoint.

    python bench/spark_job.py BOOTSTRAP TOPIC OUT JARS PASSES

Run by `bench/pipeline.py`, in an environment of its own (`bench/requirements-spark.txt`), and by `bench/spark.py`, never
by hand. The trigger is `availableNow`, so that a pass ends, and the folders are local. Each pass reads the whole topic in
the same JVM and prints one line of JSON; after each it waits for a line on standard input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, from_json
from pyspark.sql.types import DoubleType, IntegerType, StringType, StructField, StructType, TimestampType

VEHICLE = StructType(
    [
        StructField("id", StringType(), True),
        StructField("vehicle_id", StringType(), True),
        StructField("timestamp", TimestampType(), True),
        StructField("location", StringType(), True),
        StructField("speed", DoubleType(), True),
        StructField("direction", StringType(), True),
        StructField("make", StringType(), True),
        StructField("model", StringType(), True),
        StructField("year", IntegerType(), True),
        StructField("fuelType", StringType(), True),
    ]
)


def one_pass(spark: SparkSession, bootstrap: str, topic: str, out: Path) -> tuple[float, float]:
    """Read the topic from its beginning to its end into Parquet files. Gives seconds, and when its first batch began."""
    began = time.perf_counter()
    rows = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap)
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .load()
        .selectExpr("CAST(value AS STRING)")
        .select(from_json(col("value"), VEHICLE).alias("data"))
        .select("data.*")
        .withWatermark("timestamp", "2 minutes")
    )
    query = (
        rows.writeStream.format("parquet")
        .option("checkpointLocation", str(out / "checkpoint"))
        .option("path", str(out / "data"))
        .outputMode("append")
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    seconds = time.perf_counter() - began
    first = min(datetime.fromisoformat(progress["timestamp"]) for progress in query.recentProgress)
    return seconds, first.timestamp()


def main() -> None:
    bootstrap, topic, out, jars, passes = sys.argv[1:]
    spark = (
        SparkSession.builder.appName("SmartCityStreaming")
        .master("local[2]")
        .config("spark.jars", jars)
        .config("spark.driver.memory", "2g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for number in range(int(passes)):
        sys.stdin.readline()
        folder = Path(out) / str(number)
        seconds, first = one_pass(spark, bootstrap, topic, folder)
        rows = spark.read.parquet(str(folder / "data")).where("id is not null").count()
        print(json.dumps({"seconds": seconds, "landed": rows, "first": first}), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
