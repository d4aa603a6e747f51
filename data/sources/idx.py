"""The IDX format: two zero bytes, a type, the number of dimensions, the dimensions, the values; all big-endian.

The format is described at http://yann.lecun.com/exdb/mnist/. Nothing that is read is trusted: every field of the
header is checked, the length must match to the byte, and an error names the first wrong byte.
"""

import contextlib
import io
import math
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

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
GZIP_CHUNK = 1 << 20  # bytes
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
    _check_length(where, shape, len(data), start + math.prod(shape) * dtype.itemsize)
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


class IdxWriter:
    """Writes an uncompressed IDX file of uint8 piece by piece; the number of items is filled in at the end.

    Args:
        path: the file to write.
        item: shape of one item, such as (height, width).
    """

    def __init__(self, path: Path, item: tuple[int, ...]) -> None:
        self.count = 0
        self._item = item
        self._stream = path.open("wb")
        self._stream.write(self._header())

    def append(self, items: np.ndarray) -> None:
        """Add items, uint8 of shape (n, *item)."""
        if items.shape[1:] != self._item or items.dtype != np.uint8:
            raise ValueError(f"expected uint8 of shape (n, *{self._item}), got {items.dtype} of shape {items.shape}")
        self._stream.write(np.ascontiguousarray(items).data)
        self.count += len(items)

    def close(self) -> None:
        """Complete the header and wait until everything is on disk."""
        with self._stream as stream:
            stream.seek(0)
            stream.write(self._header())
            stream.flush()
            os.fsync(stream.fileno())

    def discard(self) -> None:
        """Close the file as it is; nothing happens if it is closed already."""
        with contextlib.suppress(OSError):  # a full disk, which was reported before
            self._stream.close()

    def _header(self) -> bytes:
        dimensions = (self.count, *self._item)
        return struct.pack(f">BBBB{len(dimensions)}I", 0, 0, 0x08, len(dimensions), *dimensions)


def map_idx(path: Path) -> np.ndarray:
    """Return the array in an uncompressed IDX file without reading it: pages come from the disk when they are used.

    Args:
        path: the file.

    Returns:
        Read-only array of the file's shape; big-endian, where a value has more than one byte.

    Raises:
        BadFile: as `read_idx`; or it cannot be opened.
    """
    try:
        with path.open("rb") as stream:
            head, size = stream.read(4 + 4 * MAX_DIMENSIONS), os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}", "fix its permissions") from error
    dtype, shape, start = read_header(head, str(path))
    _check_length(str(path), shape, size, start + math.prod(shape) * dtype.itemsize)
    if math.prod(shape) == 0:  # nothing can be mapped
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", start, shape)


def _check_length(where: str, shape: tuple[int, ...], found: int, expected: int) -> None:
    if found != expected:
        state = f"the file ends at byte {found}" if found < expected else f"{found - expected} more bytes follow"
        dims = " × ".join(map(str, shape))
        at = min(found, expected)
        raise BadFile(f"{where}: byte {at}: expected {dims} values up to byte {expected}, {state}", AGAIN)


def gunzip_capped(data: bytes, cap: int, where: str) -> bytes:
    """Return what a gzip file holds, but never more than `cap` bytes, whatever it claims.

    Args:
        data: the whole compressed file: one member or several, as bgzip and `cat a.gz b.gz` make them, then at most
            zeros.
        cap: largest number of unpacked bytes.
        where: name of the file in an error message.

    Raises:
        BadFile: it is not gzip, damaged, cut short, followed by other bytes, or larger than `cap`.
    """
    return b"".join(gunzip_chunks(io.BytesIO(data), cap, where))


def gunzip_chunks(stream: BinaryIO, cap: int, where: str) -> Iterator[bytes]:
    """Yield what a gzip file holds, in pieces of at most 1 MiB; `cap`, `where` and errors as in `gunzip_capped`."""
    decoder, unpacked, read = zlib.decompressobj(wbits=31), 0, 0
    while piece := stream.read(GZIP_CHUNK):
        read += len(piece)
        pending = False
        while piece or pending:
            if decoder.eof:  # a member has ended: zeros as padding, or another one
                piece = piece.lstrip(b"\0")
                if piece and not GZIP_MAGIC.startswith(piece[:2]):
                    at, extra = (
                        read - len(piece),
                        len(piece) + sum(map(len, iter(lambda: stream.read(GZIP_CHUNK), b""))),
                    )
                    raise BadFile(f"{where}: byte {at}: expected the end, {extra} more bytes follow", AGAIN)
                decoder = zlib.decompressobj(wbits=31) if piece else decoder
                pending = False
                continue
            limit = min(GZIP_CHUNK, cap + 1 - unpacked)
            raw = _inflated(decoder, piece, limit, where)
            unpacked += len(raw)
            if unpacked > cap:
                raise BadFile(f"{where}: expected at most {cap} bytes when unpacked, got more", AGAIN)
            yield raw
            piece = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            pending = len(raw) == limit and not decoder.eof  # zlib may hold back what did not fit
    if not decoder.eof:
        raise BadFile(f"{where}: byte {read}: the file ends inside its gzip stream ({unpacked} bytes unpacked)", AGAIN)


def _inflated(decoder: Any, piece: bytes, limit: int, where: str) -> bytes:
    try:
        raw: bytes = decoder.decompress(piece, limit)
    except zlib.error as error:
        raise BadFile(f"{where}: expected an intact gzip stream, got damaged bytes ({error})", AGAIN) from error
    return raw


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
