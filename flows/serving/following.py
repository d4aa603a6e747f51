"""The champion of a dataset in memory, whichever it is by now.

A thread looks at the pointer twice a second; after a promotion or a rollback it loads and warms up the new champion
beside the old one, and then exchanges the two. A champion that cannot be loaded leaves the old one in place.
"""

import logging
import threading
from collections.abc import Callable

from artifacts.prediction.loaded import Loaded
from artifacts.registry import champions
from data.errors import NightshiftError, UnknownName
from data.home.store import Store

EVERY_S = 0.5
RETRY_S = 30.0  # until a champion that could not be loaded is tried again

logger = logging.getLogger(__name__)


class Following:
    """The model of one dataset.

    Args:
        store: the home.
        dataset: its name.
        changed: called with the version's name after each exchange, and with "" after one that failed.

    Raises:
        UnknownName: it has no champion.
        Corrupt: the champion's files have changed.
        Unloadable: the champion cannot be loaded.
    """

    def __init__(self, store: Store, dataset: str, changed: Callable[[str], None] = lambda _: None) -> None:
        self.dataset, self._store, self._changed = dataset, store, changed
        self.problem = ""  # why the champion is not the version that answers
        self._stop = threading.Event()
        self._seen = self._stamp()
        self.current = self._load()
        changed(self.current.version.id)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop following; the model stays in memory."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        waited = 0.0
        while not self._stop.wait(EVERY_S):
            waited += EVERY_S
            now = self._stamp()
            if now != self._seen or (self.problem and waited >= RETRY_S):
                self._seen, waited = now, 0.0
                self._exchange()

    def _exchange(self) -> None:
        try:
            if champions.champion_id(self._store, self.dataset) == self.current.version.id:
                self.problem = ""
                return
            loaded = self._load()
        except Exception as error:  # whatever is wrong with the home, the version in memory goes on answering
            problem = error.problem if isinstance(error, NightshiftError) else f"{type(error).__name__}: {error}"
            self.problem = f"{self.current.version.id} goes on answering: {problem}"
            logger.exception("%s", self.problem)
            self._changed("")
            return
        self.current, self.problem = loaded, ""
        self._changed(loaded.version.id)

    def _load(self) -> Loaded:
        version = champions.champion(self._store, self.dataset)
        if version is None:
            raise UnknownName(f"{self.dataset} has no champion yet", f"run: nightshift retrain {self.dataset}")
        return Loaded(self._store, version)

    def _stamp(self) -> tuple[int, int, int] | None:
        """Return what changes whenever the pointer is replaced; None if it is not there."""
        try:
            status = self._store.champion(self.dataset).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size
