"""Runs suites with Great Expectations: one ephemeral context, and no error of the library is a verdict on the data."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data.errors import Broken
from data.validation.suites import Suite

_ONE_AT_A_TIME = threading.Lock()  # Great Expectations' context is global to the process


class Engine:
    """Great Expectations with nothing on disk; used within `one_at_a_time`.

    Args:
        documented: whether Data Docs will be written.
    """

    def __init__(self, *, documented: bool = False) -> None:
        import great_expectations as gx

        self.documented = documented
        self.context = gx.get_context(mode="ephemeral")
        self.context.variables.progress_bars = {"globally": False}
        self.source = self.context.data_sources.add_pandas("nightshift")

    def run(self, suite: Suite) -> Any:
        """Return Great Expectations' result for a suite, which has one result per expectation."""
        result = self._run(suite.name, suite.frame, suite.expectations)
        if len(result.results) != len(suite.expectations):
            raise RuntimeError(f"{len(suite.expectations)} expectations gave {len(result.results)} results")
        return result

    def _run(self, name: str, frame: Any, expectations: list[Any]) -> Any:
        import great_expectations as gx

        suite = gx.ExpectationSuite(name, expectations=expectations)
        if name in (asset.name for asset in self.source.assets):
            batch = self.source.get_asset(name).get_batch_definition("tonight")
        else:
            batch = self.source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("tonight")
        if not self.documented:  # storing results for the Data Docs takes half of the time
            return batch.get_batch({"dataframe": frame}).validate(suite, result_format="BASIC")
        definition = gx.ValidationDefinition(name=name, data=batch, suite=self.context.suites.add(suite))
        definition = self.context.validation_definitions.add(definition)
        return definition.run(batch_parameters={"dataframe": frame}, result_format="BASIC")

    def write_docs(self, folder: Path) -> None:
        """Render the results as Data Docs."""
        backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.absolute())}
        index = {"class_name": "DefaultSiteIndexBuilder"}
        site = {"class_name": "SiteBuilder", "site_index_builder": index, "store_backend": backend}
        self.context.add_data_docs_site(site_name="kept", site_config=site)
        self.context.build_data_docs(site_names=["kept"])


def met(result: Any) -> bool:
    """Return whether one expectation was met.

    Raises:
        RuntimeError: it was not evaluated; Great Expectations notes the exception in its result.
    """
    raised = _raised(result.exception_info)
    if raised:
        raise RuntimeError(f"{result.expectation_config.type}: {raised}")
    return bool(result.success)


def _raised(info: Any) -> str:
    """Return the first exception's message in an exception_info, which may nest one per metric."""
    if not isinstance(info, dict):
        return ""
    if info.get("raised_exception"):
        return str(info.get("exception_message") or "an exception without a message")
    return next(filter(None, map(_raised, info.values())), "")


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Use Great Expectations alone in this process, and raise whatever goes wrong in it as Broken."""
    with _ONE_AT_A_TIME, _errors_of_the_library():
        yield


@contextlib.contextmanager
def _errors_of_the_library() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise  # the Data Docs could not be written: the store reports that
    except Exception as error:  # whatever it is, it is no verdict on the data
        logging.getLogger(__name__).debug("Great Expectations failed", exc_info=True)
        raise Broken(
            f"Great Expectations {_version()} failed while checking the data: {type(error).__name__}: {error}",
            "the data was neither accepted nor refused; is the installation complete? 'make setup' repairs it",
        ) from error


def _version() -> str:
    try:
        return version("great-expectations")
    except ImportError:
        return "(not installed)"
