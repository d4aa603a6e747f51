"""Small changes to files: each is a few numbers, so that hypothesis can draw, shrink and print it."""

import gzip
import io
import random
import zipfile
from collections.abc import Callable, Sequence
from typing import NamedTuple

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
TEXTS = (
    b"\0",
    b"{",
    b"[" * 2000,
    b'"',
    b"NaN",
    b"1e999",
    b"-1",
    b"../../evil",
    b"9" * 5000,
    b"\xff\xfe",
    b"\n",
    b",,,,",
)


class Change(NamedTuple):
    """One change.

    Args:
        kind: an index into KINDS.
        place: where, in [0, 1) of the file.
        value: what, from 0 to 65535; its meaning depends on the kind.
    """

    kind: int
    place: float
    value: int


def damaged(content: bytes, changes: Sequence[Change]) -> bytes:
    """Return a file with some changes made one after the other; at most 1 MiB."""
    for change in changes:
        content = KINDS[change.kind % len(KINDS)](content, change.place, change.value)[: 1 << 20]
    return content


def drawn(rng: random.Random) -> list[Change]:
    """Return some changes."""
    return [Change(rng.randrange(len(KINDS)), rng.random(), rng.randrange(65536)) for _ in range(rng.randint(1, 6))]


def _at(content: bytes, place: float) -> int:
    return int(place * len(content))


def _byte(content: bytes, place: float, value: int) -> bytes:
    at = _at(content, place)
    return content[:at] + bytes([value & 255]) + content[at + 1 :]


def _bit(content: bytes, place: float, value: int) -> bytes:
    at = _at(content, place)
    return content[:at] + bytes([content[at] ^ (1 << (value & 7))]) + content[at + 1 :] if content else content


def _number(content: bytes, place: float, value: int) -> bytes:
    """Overwrite 1 to 8 bytes with a number at which arithmetic overflows."""
    at, size = _at(content, place), 1 << (value & 3)
    number = (NUMBERS[(value >> 3) % len(NUMBERS)] & ((1 << 8 * size) - 1)).to_bytes(
        size, "big" if value & 4 else "little"
    )
    return content[:at] + number + content[at + size :]


def _cut(content: bytes, place: float, value: int) -> bytes:
    at = _at(content, place)
    return content[:at] if value & 1 else content[at:]


def _without(content: bytes, place: float, value: int) -> bytes:
    at = _at(content, place)
    return content[:at] + content[at + 1 + value % 64 :]


def _twice(content: bytes, place: float, value: int) -> bytes:
    at, size = _at(content, place), 1 + value % 256
    return content[:at] + content[at : at + size] * (1 + value % 5) + content[at:]


def _text(content: bytes, place: float, value: int) -> bytes:
    at = _at(content, place)
    return content[:at] + TEXTS[value % len(TEXTS)] + content[at:]


def _swapped(content: bytes, place: float, value: int) -> bytes:
    at, size = _at(content, place), 1 + value % 512
    return content[at : at + size] + content[:at] + content[at + size :]


def _inside(content: bytes, place: float, value: int) -> bytes:
    """Change what is packed, and pack it again: a checksum stops all other changes."""
    change = Change(value % 8, place, value >> 3)
    try:
        if content[:2] == b"\x1f\x8b":
            return gzip.compress(damaged(gzip.decompress(content), [change]), 1, mtime=0)
        return _in_zip(content, change)
    except Exception:  # noqa: BLE001  (what cannot be unpacked any more is changed from outside)
        return _byte(content, place, value)


def _in_zip(content: bytes, change: Change) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        members = old.infolist()
        for index, member in enumerate(members):
            packed = old.read(member)
            new.writestr(member.filename, damaged(packed, [change]) if index == change.value % len(members) else packed)
    return stream.getvalue()


KINDS: tuple[Callable[[bytes, float, int], bytes], ...] = (
    _byte, _bit, _number, _cut, _without, _twice, _text, _swapped, _inside, _inside,
)  # fmt: skip
