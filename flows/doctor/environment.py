"""Checks of what surrounds a run: variables, proxies, certificates, the Prefect server that the shell names."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from artifacts.upkeep.findings import Finding
from data.errors import Broken, Corrupt
from data.home.store import Store
from data.sources.transfer import scrubbed
from flows.server import connection, stack
from flows.settings import certificate_files, misspelt_variables, proxies, server_key_is_set, server_url

CONNECT_S = 3.0


def _variables(_: Store) -> Iterator[Finding]:
    for name, near in misspelt_variables().items():
        guess = f"; did you mean {near}?" if near else ""
        yield Finding(name, f"nothing reads this variable{guess}", "correct the name, or unset it")


def _proxies(_: Store) -> Iterator[Finding]:
    for name, value in proxies().items():
        where = scrubbed(value)
        try:
            parts = urlsplit(value if "://" in value else f"http://{value}")
            socket.create_connection((parts.hostname or "", parts.port or 3128), CONNECT_S).close()
        except (OSError, ValueError) as error:
            problem = f"downloads go through the proxy {where}, which cannot be reached ({error})"
            yield Finding(name, problem, "correct the variable, or unset it")


def _certificates(_: Store) -> Iterator[Finding]:
    for name, path in certificate_files().items():
        if not Path(path).exists():
            yield Finding(name, f"{path} is not there, so no https address can be trusted", "correct or unset it")


def _temporary(_: Store) -> Iterator[Finding]:
    try:
        with tempfile.TemporaryFile() as stream:
            stream.write(b"x")
    except OSError as error:
        yield Finding("temporary files", f"cannot be written: {error}", "set TMPDIR to a folder that can be written")


def _named_server(store: Store) -> Iterator[Finding]:
    """Yield what is wrong with PREFECT_API_URL: nobody answers there, or another server than this home's."""
    url = server_url()
    if not url:
        return
    try:
        connection.require_answer(url)
    except Broken as error:
        yield Finding("PREFECT_API_URL", error.problem, error.hint)
        return
    try:
        here = stack.running(store)
    except Corrupt:
        return  # a finding about the server
    if here and here.url != url:
        problem = f"it names {scrubbed(url)}, but this home's own server is {here.url}"
        yield Finding("PREFECT_API_URL", problem, f". {store.root}/server/environment", serious=False)


def _key(_: Store) -> Iterator[Finding]:
    if server_url() and server_key_is_set():
        problem = "it takes precedence over the password, which a server of your own asks for"
        yield Finding("PREFECT_API_KEY", problem, "unset it, unless PREFECT_API_URL is Prefect Cloud", serious=False)


CHECKS = {
    "variables": _variables,
    "proxies": _proxies,
    "certificates": _certificates,
    "temporary files": _temporary,
    "PREFECT_API_URL": _named_server,
    "PREFECT_API_KEY": _key,
}
