"""What the run form of the UI is made from, and what a run shows of itself in a list of runs."""

import dataclasses
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.client.schemas.objects import State
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate

from artifacts.gate.policy import POLICIES, Policy, meaning
from data.errors import BadInput, DataRefused, SourceUnavailable
from data.fields import described
from flows.retrain import retrain
from flows.rollback import rollback
from flows.runs import names
from flows.train import train


def _form(flow: Any = retrain) -> dict[str, Any]:
    return dict(parameter_schema(flow).model_dump_for_openapi())


def _fields() -> dict[str, dict[str, Any]]:
    return dict(_form()["properties"])


def _policy() -> dict[str, dict[str, Any]]:
    return dict(_fields()["policy"]["properties"])


def _refusals(**values: Any) -> list[Any]:
    return list(validate(values, _form(), raise_on_error=False))


def test_every_field_says_what_it_is_for() -> None:
    """Each field has a sentence beside it; nobody has to look elsewhere what it means."""
    for flow in (retrain, train, rollback):
        for name, field in _form(flow)["properties"].items():
            assert field.get("description", "").strip().endswith("."), f"{flow.name}: {name}"


def test_names_are_chosen_from_lists() -> None:
    """Dataset, recipes, device and mode are dropdowns with at least two entries."""
    fields = _fields()
    choices = {name: fields[name]["enum"] for name in ("dataset", "device", "mode")}
    choices["recipes"] = fields["recipes"]["items"]["enum"]
    assert all(len(choice) > 1 for choice in choices.values())
    assert {"mnist", "fashion-mnist", "mnist-sample"} <= set(choices["dataset"])
    assert {"cnn", "tiny"} <= set(choices["recipes"])
    assert choices["device"] == ["auto", "gpu", "cpu"]
    assert choices["mode"] == ["normal", "dry-run", "force"]


def test_only_the_reason_is_free_text() -> None:
    """No path, no URL and no secret can be typed in: there is no field for any."""
    fields = {**_fields(), **_policy()}
    assert [name for name, field in fields.items() if field["type"] == "string" and "enum" not in field] == ["reason"]
    assert [name for name, field in fields.items() if field["type"] in ("object", "null")] == ["policy"]


def test_every_field_of_the_policy_is_in_the_form() -> None:
    """They are one group, each with its sentence, which tells what every dataset has where it is left empty."""
    group = _fields()["policy"]
    assert (group["type"], group["default"], group["additionalProperties"]) == ("object", {}, False)
    assert list(_policy()) == list(described(Policy))
    for name in described(Policy):
        text = _policy()[name]["description"]
        assert text.lower() == f"{meaning(name).lower()}."
        assert text[0].isupper()
    assert "mnist 0.003, others 0.01, or the smallest gain" in _policy()["margin"]["description"]
    assert all(f"{name} {POLICIES[name].min_recall:g}" in _policy()["min_recall"]["description"] for name in POLICIES)
    assert _policy()["promote_when"]["enum"] == ["better", "ahead", "not-worse"]
    assert _policy()["bad_nights"]["type"] == "integer"


def test_what_is_left_empty_is_as_the_dataset_has_it() -> None:
    """The form may send nothing, or null for a number: neither changes the dataset's policy."""
    for given in ({}, {"margin": None}):
        assert _refusals(policy=given) == []
        changes = retrain.validate_parameters({"policy": given})["policy"]
        assert POLICIES["mnist"].changed(changes) == POLICIES["mnist"]
    changes = retrain.validate_parameters({"policy": {"margin": 0.002, "promote_when": "not-worse"}})["policy"]
    assert POLICIES["mnist"].changed(changes) == dataclasses.replace(
        POLICIES["mnist"], margin=0.002, promote_when="not-worse"
    )


def test_numbers_have_limits() -> None:
    """Every number has a least and a greatest value, which the form holds against what is typed."""
    fields = {**_fields(), **_policy()}
    numbers = {name: field for name, field in fields.items() if field["type"] in ("integer", "number")}
    assert set(numbers) == {"seed", "seeds", *_policy()} - {"promote_when", "promotion"}
    for name, field in numbers.items():
        assert "minimum" in field, name
        assert "maximum" in field, name  # what the form makes of exclusiveMaximum is nothing


def test_the_defaults_are_a_night_that_can_start() -> None:
    """Whoever opens the form and presses Submit gets a night on MNIST."""
    defaults = {name: field["default"] for name, field in _fields().items()}
    assert set(defaults) == set(_fields())
    assert _refusals(**defaults) == []
    assert retrain.validate_parameters(defaults)["dataset"] == "mnist"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dataset", "../../etc"),
        ("recipes", []),
        ("recipes", ["no-such-recipe"]),
        ("seed", -1),
        ("seed", 2**31),
        ("seeds", 0),
        ("seeds", 10),
        ("policy", {"min_accuracy": 1.01}),
        ("policy", {"bad_nights": 2.5}),
        ("policy", {"promote_when": "always"}),
        ("policy", {"min_acuracy": 0.9}),
        ("policy", {"margin": "small"}),
        ("policy", "not-worse"),
        ("device", "tpu"),
        ("mode", "maybe"),
    ],
)
def test_a_bad_value_is_refused_by_the_form_and_again_by_the_flow(name: str, value: object) -> None:
    """The server refuses it before a run exists; the flow, too, because the server's check can be unticked."""
    assert len(_refusals(**{name: value})) >= 1
    with pytest.raises(ParameterTypeError, match=name):
        retrain.validate_parameters({name: value})


def test_a_misspelt_name_is_answered_with_the_list() -> None:
    """What the flow says names what there is, and the nearest of it."""
    with pytest.raises(ParameterTypeError, match="did you mean 'fashion-mnist'"):
        retrain.validate_parameters({"dataset": "fashon-mnist"})


@pytest.mark.parametrize(
    ("mode", "tags", "name"),
    [
        ("normal", ["auto-scheduled", "nightly"], "mnist · 2026-11-20 · nightly"),
        ("normal", ["nightshift"], "mnist · 2026-11-20 · manual"),
        ("dry-run", ["nightshift"], "mnist · 2026-11-20 · dry-run"),
        ("force", [], "mnist · 2026-11-20 · force"),
    ],
)
def test_a_run_is_named_after_dataset_date_and_kind(
    mode: str, tags: list[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a list of runs one sees which night is which."""
    due = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
    run = SimpleNamespace(parameters={"dataset": "mnist", "mode": mode}, tags=tags, scheduled_start_time=due)
    monkeypatch.setattr(names, "runtime", SimpleNamespace(flow_run=run))
    assert names.night_name() == name


def test_the_first_line_of_a_failure_says_what_to_do() -> None:
    """However long the explanation is, its first line has the problem and the way out; the details follow."""
    error = DataRefused("mnist failed 2 of 55 expectations:\n  train.label: 5999 rows\n  test.mean: 0", "look at it")

    @names.errors_to_failed_state
    def refused() -> State[None]:
        raise error

    state: State[Any] = refused()
    assert state.is_failed()
    assert state.message == "mnist failed 2 of 55 expectations -> look at it\n  train.label: 5999 rows\n  test.mean: 0"
    assert state.result(raise_on_failure=False) is error
    assert names.failure_message(SourceUnavailable("no mirror answers")) == "no mirror answers"


def test_what_nightshift_cannot_explain_is_left_to_prefect() -> None:
    """A programming error keeps its traceback."""

    @names.errors_to_failed_state
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()


def test_a_decorated_flow_keeps_its_form() -> None:
    """The wrapper changes neither the signature nor the descriptions."""

    @names.errors_to_failed_state
    def night(seed: int = 3) -> None:
        """Train.

        Args:
            seed: Decides.
        """
        raise BadInput("no")

    field = parameter_schema(night).model_dump_for_openapi()["properties"]["seed"]
    assert (field["type"], field["default"], field["description"]) == ("integer", 3, "Decides.")
