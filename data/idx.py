"""The IDX format: two zero bytes, a type, the number of dimensions, the dimensions, the values; all big-endian.

The format is described at http://yann.lecun.com/exdb/mnist/. Nothing that is read is trusted: every field of the
header is checked, the length must match to the byte, and an error names the first wrong byte.
"""

import math
import struct
import zlib
from typing import Any

import numpy as np

from data.errors import BadFile

GZIP_MAGIC = b"\x1f\x8b"
TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
FORMATS = {b"<": "a web page", b"\x89PNG": "PNG", b"\xff\xd8": "JPEG", b"PK": "zip", GZIP_MAGIC: "gzip"}
MAX_DIMENSIONS = 4
AGAIN = "fetch or export the file again"


def read_idx(data: bytes, where: str) -> np.ndarray:
    """Return the array in an IDX file.

    Args:
        data: the whole file, not compressed.
        where: name of the file in an error message.

    Returns:
        Array of the file's shape in native byte order; uint8 for images and for most labels. Bytes are not copied: the
        array of a uint8 file is a read-only view of `data`.

    Raises:
        BadFile: the header is wrong, or the values are too short or too long.
    """
    dtype, shape, start = read_header(data, where)
    size = start + math.prod(shape) * dtype.itemsize
    if len(data) != size:
        state = f"the file ends at byte {len(data)}" if len(data) < size else f"{len(data) - size} more bytes follow"
        dims = " × ".join(map(str, shape))
        raise BadFile(f"{where}: byte {min(len(data), size)}: expected {dims} values up to byte {size}, {state}", AGAIN)
    values = np.frombuffer(data, dtype, offset=start).reshape(shape)
    return values if dtype.itemsize == 1 else values.astype(dtype.newbyteorder("="))


def read_header(data: bytes, where: str) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Return the type of the values, the shape, and the offset of the first value.

    Args:
        data: at least the first 20 bytes of the file, or all of it.
        where: name of the file in an error message.

    Raises:
        BadFile: this is not the start of an IDX file.
    """
    if len(data) < 4:
        raise BadFile(f"{where}: byte {len(data)}: expected 4 bytes that say what the file holds, it ends here", AGAIN)
    if data[:2] != b"\0\0":
        raise BadFile(f"{where}: byte 0: expected 00 00 as in every IDX file, found {looks_like(data)}", AGAIN)
    if data[2] not in TYPES:
        known = ", ".join(f"{code:02x}" for code in TYPES)
        raise BadFile(f"{where}: byte 2: expected a type of value ({known}), found {data[2]:02x}", AGAIN)
    n_dims = data[3]
    if not 1 <= n_dims <= MAX_DIMENSIONS:
        raise BadFile(f"{where}: byte 3: expected 1 to {MAX_DIMENSIONS} dimensions, found {n_dims}", AGAIN)
    start = 4 + 4 * n_dims
    if len(data) < start:
        raise BadFile(f"{where}: byte {len(data)}: expected {n_dims} dimensions until byte {start}, it ends", AGAIN)
    return TYPES[data[2]], struct.unpack(f">{n_dims}I", data[4:start]), start


def write_idx(array: np.ndarray) -> bytes:
    """Return an IDX file, not compressed.

    Args:
        array: 1 to 4 dimensions; of type uint8, int8, int16, int32, float32 or float64.

    Raises:
        BadFile: the format cannot hold this array.
    """
    big_endian = array.dtype.newbyteorder(">")
    code = next((code for code, dtype in TYPES.items() if dtype == big_endian), None)
    if code is None or not 1 <= array.ndim <= MAX_DIMENSIONS:
        raise BadFile(
            f"IDX holds 1 to {MAX_DIMENSIONS} dimensions of uint8, int8, int16, int32, float32 or float64, "
            f"got {array.ndim} of {array.dtype}",
            "convert the array first",
        )
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(big_endian).tobytes()


def gunzip_capped(data: bytes, cap: int, where: str) -> bytes:
    """Return what a gzip stream holds, but never more than `cap` bytes, whatever it claims.

    Args:
        data: the whole compressed file, one gzip member.
        cap: largest number of unpacked bytes.
        where: name of the file in an error message.

    Raises:
        BadFile: it is not gzip, damaged, cut short, followed by other bytes, or larger than `cap`.
    """
    decoder = zlib.decompressobj(wbits=31)
    try:
        raw = decoder.decompress(data, cap + 1)
    except zlib.error as error:
        raise BadFile(f"{where}: expected an intact gzip stream, got damaged bytes ({error})", AGAIN) from error
    if len(raw) > cap:
        raise BadFile(f"{where}: expected at most {cap} bytes when unpacked, got more", AGAIN)
    if not decoder.eof:
        raise BadFile(
            f"{where}: byte {len(data)}: the file ends inside its gzip stream ({len(raw)} bytes unpacked)",
            AGAIN,
        )
    if decoder.unused_data:
        extra = len(decoder.unused_data)
        raise BadFile(f"{where}: byte {len(data) - extra}: expected the end, {extra} more bytes follow", AGAIN)
    return raw


def gunzip_head(data: bytes, where: str) -> bytes:
    """Return the first 64 bytes of what a gzip stream holds: enough for any IDX header.

    Raises:
        BadFile: it is not gzip.
    """
    try:
        return zlib.decompressobj(wbits=31).decompress(data, 64)
    except zlib.error as error:
        raise BadFile(f"{where}: expected an intact gzip stream, got damaged bytes ({error})", AGAIN) from error


def unpack(data: bytes, cap: int, where: str) -> bytes:
    """Return the raw IDX bytes of a file that may be compressed; content decides, not the name.

    Raises:
        BadFile: as `gunzip_capped`; or it is neither gzip nor IDX.
    """
    if data.startswith(GZIP_MAGIC):
        return gunzip_capped(data, cap, where)
    if len(data) >= 2 and not data.startswith(b"\0\0"):
        raise BadFile(f"{where}: byte 0: expected gzip (1f 8b) or IDX (00 00), found {looks_like(data)}", AGAIN)
    if len(data) > cap:
        raise BadFile(f"{where}: expected at most {cap} bytes, got {len(data)}", AGAIN)
    return data


def looks_like(data: bytes) -> str:
    """Return a file's first four bytes in hexadecimal and the format they belong to, for an error message."""
    start = data[:64].lstrip()
    kind = next((f" ({name})" for magic, name in FORMATS.items() if start.startswith(magic)), "")
    return f"{data[:4].hex(' ')}{kind}"
