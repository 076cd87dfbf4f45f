"""Runs scripts in one Spark of one thread, without a catalog on the disk."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from pyspark.sql import SparkSession  # type: ignore[import-not-found]

OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "512m",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.warehouse.dir": f"{os.getcwd()}/warehouse",
}


def main() -> None:
    told = os.dup(1)
    os.dup2(2, 1)  # Java writes there as well
    session = SparkSession.builder.master("local[1]").config(map=OPTIONS).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    answers: list[list[dict[str, Any]]] = []
    for script in json.load(sys.stdin):
        rows: list[Any] = []
        for statement in filter(str.strip, script.split(";\n")):
            rows = session.sql(statement.strip().removesuffix(";")).collect()
        answers.append([row.asDict(recursive=True) for row in rows])
    session.stop()
    with os.fdopen(told, "w") as out:
        json.dump(answers, out, default=str)


main()
