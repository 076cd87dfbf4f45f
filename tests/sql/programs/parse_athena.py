"""Parses statements as Athena's, strictly: what the parser does not know is an error and no command."""

from __future__ import annotations

import json
import sys
from typing import Any

from sqlglot import ErrorLevel, exp, parse  # type: ignore[import-not-found]


def main() -> None:
    answers: list[list[dict[str, Any]]] = []
    for statement in json.load(sys.stdin):
        (tree,) = parse(statement.strip().removesuffix(";"), dialect="athena", error_level=ErrorLevel.RAISE)
        assert not isinstance(tree, exp.Command), f"not understood:\n{statement}"
        columns = {each.name: each.kind.sql("athena") for each in tree.find_all(exp.ColumnDef) if each.kind}
        properties = {
            each.name: each.args["value"].name
            for each in tree.find_all(exp.Property)
            if "value" in each.args and each.name
        }
        answers.append([{"kind": tree.key, "columns": columns, "properties": properties}])
    json.dump(answers, sys.stdout)


main()
