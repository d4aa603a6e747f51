"""The types of the flows' parameters: what the run form of the UI offers, and what a flow accepts.

Names are dropdowns, numbers have limits, the policy is a group of its own; there is no path, no URL and no secret among
them. The lists are taken when a flow is deployed; `nightshift datasets add`, `rename` and `remove` send new ones to a
running server (flows/server/changes.py). The flow itself knows every dataset at once.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema

from artifacts.gate.policy import Policy, meaning
from artifacts.recipes.candidate import Candidate
from artifacts.recipes.catalogue import DEFAULT_CANDIDATES, recipes
from data import catalogue
from data.errors import BadInput
from data.fields import described
from flows.settings import settings


def _known_dataset(name: str) -> str:
    return _as_value_error(lambda: catalogue.get(settings().store, name).name)


def _known_recipe(text: str) -> str:
    return _as_value_error(lambda: str(Candidate.parse(text)))


def _as_value_error(check: Any) -> str:
    try:
        return str(check())
    except BadInput as error:
        raise ValueError(str(error)) from error  # the kind of error that pydantic reports beside the field


def _possible_policy(values: Mapping[str, Any]) -> dict[str, Any]:
    _as_value_error(lambda: Policy().changed(values))
    return dict(values)


def _policy_form() -> dict[str, Any]:
    """Return the JSON schema of a policy in which every field may be left empty."""
    fields = {}
    for place, (name, field) in enumerate(described(Policy).items()):
        text = meaning(name)
        about = {"title": name, "description": f"{text[0].upper()}{text[1:]}.", "position": place}
        fields[name] = {**field.schema, **about}
    return {"type": "object", "properties": fields, "additionalProperties": False}


class _Names:
    """The JSON schema of a dataset's name, which lists the datasets there are when it is asked for."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "enum": list(catalogue.names(settings().store))}


DatasetName = Annotated[str, AfterValidator(_known_dataset), _Names]
RecipeName = Annotated[str, AfterValidator(_known_recipe), WithJsonSchema({"type": "string", "enum": list(recipes())})]
Recipes = Annotated[list[RecipeName], Field(min_length=1, max_length=16)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]  # not lt: the form knows no limit that is excluded
Seeds = Annotated[int, Field(ge=1, le=9)]
Device = Literal["auto", "gpu", "cpu"]
Mode = Literal["normal", "dry-run", "force"]
PolicyChanges = Annotated[dict[str, Any], AfterValidator(_possible_policy), WithJsonSchema(_policy_form())]
CANDIDATES = list(DEFAULT_CANDIDATES)
AS_USUAL: dict[str, Any] = {}
