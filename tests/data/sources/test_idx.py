"""What is written is read again, and what is not IDX is refused with the byte at which it goes wrong."""

import gzip
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from data.errors import BadFile
from data.sources.idx import TYPES, gunzip_capped, read_header, read_idx, unpack, write_idx

NATIVE = [dtype.newbyteorder("=") for dtype in TYPES.values()]
IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
GOOD = write_idx(IMAGES)

idx_arrays = st.sampled_from(NATIVE).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6))
)


@given(idx_arrays)
def test_what_is_written_is_read_again(array: np.ndarray) -> None:
    """Any type, any shape: the same values to the bit, in native byte order."""
    read = read_idx(write_idx(array), "it")
    assert read.dtype == array.dtype
    assert read.shape == array.shape
    assert read.tobytes() == array.tobytes()


@given(idx_arrays, st.data())
def test_every_cut_and_every_tail_is_refused(array: np.ndarray, draw: st.DataObject) -> None:
    """A file that is shorter or longer than its header says is never read."""
    whole = write_idx(array)
    cut = draw.draw(st.integers(0, len(whole) - 1))
    for wrong in (whole[:cut], whole + b"\0"):
        with pytest.raises(BadFile, match=f"byte {min(len(wrong), len(whole))}: expected"):
            read_idx(wrong, "it")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but BadFile ever comes out of the codec, and what it accepts it would write the same way."""
    try:
        array = read_idx(data, "it")
    except BadFile:
        return
    assert write_idx(array) == data


@given(st.binary(max_size=2000), st.data())
def test_any_damage_to_gzip_is_refused_or_harmless(content: bytes, draw: st.DataObject) -> None:
    """A flipped byte gives an error or, where it was not content, the same content; a cut always gives an error."""
    packed = gzip.compress(content, mtime=0)
    at = draw.draw(st.integers(0, len(packed) - 1))
    damaged = packed[:at] + bytes([packed[at] ^ draw.draw(st.integers(1, 255))]) + packed[at + 1 :]
    with suppress(BadFile):
        assert gunzip_capped(damaged, len(content), "it") == content
    with pytest.raises(BadFile, match=f"byte {at}: the file ends inside"):
        gunzip_capped(packed[:at], len(content), "it")


def test_the_format_is_the_published_one() -> None:
    """Magic numbers 0x803 and 0x801, big-endian sizes, then the values row by row."""
    assert GOOD[:16] == bytes.fromhex("00000803 00000002 00000003 00000004")
    assert GOOD[16:] == bytes(range(24))
    labels = bytes.fromhex("00000801 00000003 050004")
    assert read_idx(labels, "labels").tolist() == [5, 0, 4]
    wide = bytes.fromhex("00000b01 00000002 012c ffff")
    assert read_idx(wide, "labels").tolist() == [300, -1]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "byte 0: expected 4 bytes that say what the file holds, it ends here"),
        (b"\0\0\x08", "byte 3: expected 4 bytes"),
        (b"\x89PNG\r\n", r"byte 0: expected 00 00 as in every IDX file, found 89 50 4e 47 \(PNG\)"),
        (b"\n<html>", r"byte 0: expected 00 00 .* \(a web page\)"),
        (b"\0\0\x0a\x01", r"byte 2: expected a type of value \(08, 09, 0b, 0c, 0d, 0e\), found 0a"),
        (b"\0\0\x08\x00", "byte 3: expected 1 to 4 dimensions, found 0"),
        (b"\0\0\x08\xff", "byte 3: expected 1 to 4 dimensions, found 255"),
        (GOOD[:13], "byte 13: expected 3 dimensions until byte 16, it ends"),
        (GOOD[:30], "byte 30: expected 2 × 3 × 4 values up to byte 40, the file ends at byte 30"),
        (GOOD + b"xyz", "byte 40: expected 2 × 3 × 4 values up to byte 40, 3 more bytes follow"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "byte 16: expected 4294967295 × 4294967295 × 4294967295 values"),
    ],
)
def test_errors_name_the_byte_the_expected_and_the_found(data: bytes, problem: str) -> None:
    """Each field of the header has its own message, with the file's name in front."""
    with pytest.raises(BadFile, match=f"^train-images: {problem}"):
        read_idx(data, "train-images")


def test_what_idx_cannot_hold_is_refused() -> None:
    """Types and shapes outside the format are errors when writing, not surprises when reading."""
    for array in (np.zeros(3, np.int64), np.zeros(3, bool), np.zeros((1,) * 5, np.uint8), np.uint8(3).reshape(())):
        with pytest.raises(BadFile, match="IDX holds 1 to 4 dimensions"):
            write_idx(array)


def test_reading_does_not_copy_images() -> None:
    """47 MB of pixels are looked at where they are, and cannot be changed by accident."""
    array = read_idx(GOOD, "it")
    assert np.shares_memory(array, np.frombuffer(GOOD, np.uint8))
    assert not array.flags.writeable


@pytest.mark.fault("F-05")
def test_unpacking_stops_at_the_cap() -> None:
    """A bomb of 200 MiB costs as much memory as the cap allows."""
    bomb = gzip.compress(bytes(200 << 20), compresslevel=1)
    tracemalloc.start()
    try:
        with pytest.raises(BadFile, match="expected at most 1000 bytes when unpacked, got more"):
            gunzip_capped(bomb, 1000, "it")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_content_decides_what_is_compressed() -> None:
    """Compressed or not is seen in the bytes, whatever the file is called."""
    assert unpack(gzip.compress(GOOD), len(GOOD), "it") == unpack(GOOD, len(GOOD), "it") == GOOD
    with pytest.raises(BadFile, match=r"byte 0: expected gzip \(1f 8b\) or IDX \(00 00\), found 50 4b 03 04 \(zip\)"):
        unpack(b"PK\x03\x04", 100, "it")
    with pytest.raises(BadFile, match="expected at most 39 bytes, got 40"):
        unpack(GOOD, 39, "it")
    packed = gzip.compress(GOOD)
    with pytest.raises(BadFile, match=f"byte {len(packed)}: expected the end, 2 more bytes follow"):
        unpack(packed + b"xx", 40, "it")


def test_a_header_can_be_read_alone() -> None:
    """Type, shape and offset are known from the first bytes, before anything is unpacked."""
    assert read_header(GOOD[:20], "it") == (np.dtype(np.uint8), (2, 3, 4), 16)
