"""A file of JSON lines, taken apart: what is complete is a line, whether or not its line end survived."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


class Broken(Exception):
    """Something before the end of the file is no JSON object.

    Args:
        number: of the line, from 1.
        problem: what was found.
    """

    def __init__(self, number: int, problem: str) -> None:
        super().__init__(problem)
        self.number = number


@dataclass(frozen=True)
class Parsed:
    """What a file holds.

    Args:
        values: the JSON objects, in order.
        tidy: their texts, unchanged, each with its line end.
        rest: what follows the last one, and is not complete.
    """

    values: tuple[Any, ...]
    tidy: bytes
    rest: bytes


def parse(content: bytes) -> Parsed:
    """Take JSON lines apart.

    Raises:
        Broken: something that is no JSON object is followed by a line end.
    """
    values: list[Any] = []
    texts: list[bytes] = []
    rest = b""
    for line in content.split(b"\n"):
        if rest:
            raise Broken(len(values) + 1, f"it is not JSON (it begins with {rest[:20]!r})")
        used = 0
        for value, text in _objects(line):
            values.append(value)
            texts.append(text + b"\n")
            used += len(text)
        rest = line[used:]
    return Parsed(tuple(values), b"".join(texts), rest)


def _objects(line: bytes) -> Iterator[tuple[Any, bytes]]:
    """Yield the complete JSON objects at the beginning of some bytes, with their text."""
    text, at = line.decode(errors="surrogateescape"), 0
    while at < len(text) and text[at] == "{":
        try:
            value, end = json.JSONDecoder().raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        yield value, text[at:end].encode(errors="surrogateescape")
        at = end
