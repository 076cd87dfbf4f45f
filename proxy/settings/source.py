"""From a file to settings, or to everything that is wrong with it, in one go.

The only part of the settings that reads files and the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from proxy.settings.aliases import with_aliases
from proxy.settings.document import BadDocumentError, parse
from proxy.settings.placeholders import Filling
from proxy.settings.problem import Problem
from proxy.settings.schema import Settings
from proxy.settings.translation import problems_of, shown_path

# A configuration is a few kilobytes and a secret a line: anything larger is the wrong file.
FILE_MAX = 1024 * 1024


def read(path: Path | None, environment: Mapping[str, str] | None = None) -> Settings | list[Problem]:
    """The settings in the file at `path`, or the defaults where that is None; a list of all problems otherwise."""
    if path is None:
        return Settings()
    try:
        text = read_text(path)
    except OSError as error:
        return [Problem(str(path), f"no readable file ({error.strerror})", "a configuration file in YAML")]
    except ValueError as error:
        return [Problem(str(path), "another kind of file", str(error))]
    return from_text(text, os.environ if environment is None else environment, str(path))


def from_text(text: str, environment: Mapping[str, str], name: str = "configuration") -> Settings | list[Problem]:
    """The same for a text; `name` is what messages call it."""
    try:
        document, repeated = parse(text)
    except BadDocumentError as bad:
        where = f"{name}, line {bad.line}, column {bad.column}" if bad.line else name
        return [Problem(where, f"a mistake ({bad.reason})", "valid YAML")]
    twice = [
        Problem(shown_path(where, document), f"the key a second time, in line {line}", "each key once")
        for where, line in repeated
    ]
    return _validated(document, twice, environment)


def _validated(document: Any, problems: list[Problem], environment: Mapping[str, str]) -> Settings | list[Problem]:
    document = with_aliases(document, environment)
    filling = Filling(environment, lambda name: read_text(Path(name)))
    filled = filling.fill({} if document is None else document)
    problems += [Problem(shown_path(item.location, document), item.found, item.expected) for item in filling.unfilled]
    try:
        settings = Settings.model_validate(filled)
    except ValidationError as error:
        # A placeholder without a value is told once, not again as a value of the wrong kind.
        told = {problem.path for problem in problems}
        return problems + [problem for problem in problems_of(error, filled) if problem.path not in told]
    return problems or settings


def read_text(path: Path) -> str:
    """A file's text. Raises OSError, or ValueError saying what is expected instead."""
    with path.open("rb") as file:
        content = file.read(FILE_MAX + 1)
    if len(content) > FILE_MAX:
        raise ValueError(f"a file of at most {FILE_MAX} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("a text file in UTF-8") from None
