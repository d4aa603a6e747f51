"""The schema of a home: `home.json` says which code has written here, so that older code refuses a newer home."""

import json

from data.errors import Broken, Corrupt
from data.home.layout import Layout
from data.home.plain_files import read_plain

NUMBER = 1  # raise it when code of this number could no longer read what is written
LIMIT = 1 << 16  # bytes of home.json


def require_known(home: Layout) -> bool:
    """Refuse a home that newer code has written; whether it has `home.json` at all: homes of version 0.1 have none.

    Raises:
        Broken: its schema is newer than this code.
        Corrupt: home.json cannot be read.
    """
    path = home.home_document()
    try:
        found = json.loads(read_plain(path, LIMIT))
        number, version = int(found["schema"]), str(found.get("version", "another version"))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupt(
            f"{path} does not say which schema this home has ({error})",
            "restore it from a backup; or remove it, if no newer version of nightshift was ever used here",
        ) from error
    if number > NUMBER:
        raise Broken(
            f"{home.root} was written by nightshift {version} with schema {number}; this code knows schema {NUMBER}",
            "use that version or a newer one here; nothing was changed",
        )
    return True


def document(version: str) -> dict[str, object]:
    """Return the content of home.json."""
    return {"schema": NUMBER, "version": version}
