"""The schema of a home: `home.json` says which code has written here, so that older code refuses a newer home."""

import json
from pathlib import Path
from typing import Any

from data.errors import Broken, Corrupt
from data.home.layout import Layout
from data.home.plain_files import read_plain

NUMBER = 1  # raise it when code of this number could no longer read what is written
LIMIT = 1 << 16  # bytes of home.json
RESTORING = "restoring"  # in home.json while a backup is being restored


def require_known(home: Layout) -> bool:
    """Refuse a home that newer code has written, or that was not restored to its end.

    Returns:
        Whether it has home.json at all: homes of version 0.1 have none.

    Raises:
        Broken: its schema is newer than this code; or a restore was interrupted.
        Corrupt: home.json cannot be read.
    """
    path = home.home_document()
    if not home.root.is_dir():
        return False  # whoever writes there says what is in its place
    try:
        found = json.loads(read_plain(path, LIMIT))
        require(found, home.root)
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupt(
            f"{path} does not say which schema this home has ({error})",
            "restore it from a backup; or remove it, if no newer version of nightshift was ever used here",
        ) from error
    if found.get(RESTORING):
        raise Broken(f"a restore into {home.root} was interrupted", "give it again: nightshift home restore FILE")
    return True


def require(document: dict[str, Any], where: Path) -> None:
    """Refuse the content of a home.json that newer code has written.

    Raises:
        Broken: its schema is newer.
        ValueError, KeyError, TypeError: it is none.
    """
    number, version = int(document["schema"]), str(document.get("version", "another version"))
    if number > NUMBER:
        raise Broken(
            f"{where} was written by nightshift {version} with schema {number}; this code knows schema {NUMBER}",
            "use that version or a newer one here; nothing was changed",
        )


def is_restoring(home: Layout) -> bool:
    """Whether a restore into this home was interrupted."""
    try:
        found = json.loads(read_plain(home.home_document(), LIMIT))
    except (OSError, ValueError, Corrupt):
        return False
    return isinstance(found, dict) and bool(found.get(RESTORING))


def document(version: str) -> dict[str, object]:
    """Return the content of home.json."""
    return {"schema": NUMBER, "version": version}
