"""Who may ask a server of champions."""

import base64

import pytest
from starlette.responses import PlainTextResponse

from flows.serving.access import guarded
from tests.flows.serving.client import Client

PASSWORD = "admin:secret"


def client(password: str, host: str = "127.0.0.1:8501") -> Client:
    """A client of an application that says yes."""
    return Client(guarded(PlainTextResponse("yes"), password), host)  # type: ignore[arg-type]


@pytest.mark.parametrize(("host", "code"), [("127.0.0.1:1", 200), ("localhost", 200), ("[::1]:1", 200), ("evil", 400)])
def test_on_this_machine_only_its_own_names_are_answered(host: str, code: int) -> None:
    """A page that resolves its own name to 127.0.0.1 gets nothing."""
    assert client("").get("/", headers={"host": host}).status_code == code


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", 401),
        ("Bearer secret", 200),
        ("Bearer other", 401),
        ("Bearer", 401),
        (f"Basic {base64.b64encode(PASSWORD.encode()).decode()}", 200),
        ("Basic secret", 401),
        ("Basic é", 401),
        (f"Digest {PASSWORD}", 401),
    ],
)
def test_elsewhere_the_password_is_required(authorization: str, code: int) -> None:
    """As user and password, or as a bearer token; health needs none."""
    asked = client(PASSWORD, "10.0.0.1")
    assert asked.get("/", headers={"authorization": authorization.encode()}).status_code == code  # type: ignore[dict-item]
    assert asked.get("/health").status_code == 200


def test_pages_may_ask_no_other_host() -> None:
    """The browser is told so."""
    assert "default-src 'self'" in client("").get("/").headers["content-security-policy"]
