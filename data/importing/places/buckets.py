"""Buckets of S3, Google Cloud Storage and Azure, through obstore."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from data.errors import BadInput, SourceUnavailable
from data.importing.places.place import File, Place, stamp_of

SCHEMES = ("s3://", "gs://", "az://")


class Bucket(Place):
    """The objects below a prefix of a bucket, through obstore, with the credentials of the environment."""

    def fill(self, url: str) -> "Bucket":
        """List the objects.

        Raises:
            BadInput: obstore is not installed.
            SourceUnavailable: the bucket cannot be listed.
        """
        try:
            import obstore
            from obstore.store import from_url
        except ImportError as error:
            raise BadInput(f"{url}: reading buckets needs obstore", "pip install 'nightshift[cloud]'") from error
        parts = urlsplit(url)
        prefix = parts.path.strip("/")
        try:
            self._store = from_url(f"{parts.scheme}://{parts.netloc}")
            listed = [found for page in obstore.list(self._store, prefix or None) for found in page]
            if not listed and prefix:  # a prefix ends at a slash: this may be an object itself
                listed = [obstore.head(self._store, prefix)]
        except Exception as error:
            raise _unavailable(url, error) from error
        for found in listed:
            key = str(found["path"])
            name = key.removeprefix(prefix).strip("/") or PurePosixPath(key).name
            if not key.endswith("/") and found["size"]:
                self.add(name, int(found["size"]), key, _stamp(found))
        self.files.sort(key=lambda file: file.name)
        return self

    def stream(self, file: File) -> BinaryIO:
        """Open an object."""
        import obstore

        try:
            return cast("BinaryIO", _Chunks(iter(obstore.get(self._store, file.key).stream(min_chunk_size=1 << 20))))
        except Exception as error:
            raise _unavailable(file.where, error) from error

    def read(self, file: File) -> bytes:
        """Return an object."""
        import obstore

        try:
            return bytes(obstore.get(self._store, file.key).bytes())
        except Exception as error:
            raise _unavailable(file.where, error) from error


def _stamp(found: Any) -> int:
    """Return the stamp of an object: its ETag, its version, and when it was changed."""
    return stamp_of(f"{found.get('e_tag')} {found.get('version')} {found.get('last_modified')} {found['size']}")


class _Chunks:
    """Chunks of bytes as a stream."""

    def __init__(self, chunks: Iterator[Any]) -> None:
        self._chunks, self._rest = chunks, b""

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._rest += bytes(chunk)
        cut = len(self._rest) if size < 0 else size
        content, self._rest = self._rest[:cut], self._rest[cut:]
        return content

    def __enter__(self) -> "_Chunks":
        return self

    def __exit__(self, *_: object) -> None:
        self._rest = b""


def _unavailable(url: str, error: Exception) -> SourceUnavailable:
    reason = " ".join(str(error).split())[:300]
    return SourceUnavailable(
        f"{url} cannot be read: {reason}",
        "check the address and the credentials (for S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, "
        "AWS_ENDPOINT_URL; AWS_SKIP_SIGNATURE=true for public buckets)",
    )
