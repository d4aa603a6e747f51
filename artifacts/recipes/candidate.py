"""A candidate: a recipe with its parameters and a seed, as people write it and as it is trained."""

import hashlib
import re
from dataclasses import dataclass

from artifacts.recipes import catalogue
from artifacts.recipes.parameters import Value
from artifacts.recipes.recipe import Recipe
from data.errors import BadInput


@dataclass(frozen=True)
class Candidate:
    """A recipe with its parameters and seed: everything that decides how a model is trained.

    Args:
        recipe: name of a recipe.
        parameters: what differs from the recipe's defaults, as (name, value); typed, checked and sorted on creation.
        seed: decides initial weights, order and augmentation, 0..2**31-1.

    Raises:
        UnknownName: no such recipe or parameter.
        BadInput: a value is of the wrong type or out of range.
    """

    recipe: str
    parameters: tuple[tuple[str, Value], ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        given = self.definition.renamed(dict(self.parameters))
        resolved = self.definition.resolve(given)
        object.__setattr__(self, "parameters", tuple(sorted((name, resolved[name]) for name in given)))
        if not 0 <= self.seed < 2**31:
            raise BadInput(f"{self.recipe}: seed expected 0..{2**31 - 1}, got {self.seed}", "choose another seed")

    @classmethod
    def parse(cls, text: str, seed: int = 0) -> "Candidate":
        """Return the candidate written as `recipe` or `recipe:name=value,name=value`; `seed` may be among the names.

        Raises:
            UnknownName: no such recipe or parameter.
            BadInput: the text is not of that form, or a value is of the wrong type or out of range.
        """
        recipe, _, rest = text.strip().partition(":")
        given: dict[str, Value] = {}
        for part in filter(None, (part.strip() for part in rest.split(","))):
            name, equals, value = part.partition("=")
            if not (equals and value) or name.strip() in given:
                raise BadInput(
                    f"{text!r}: expected name=value, each name once, got {part!r}", "write mlp:epochs=5,hidden=256x128"
                )
            given[name.strip()] = value.strip()
        seed_text = given.pop("seed", seed)
        try:
            return cls(recipe, tuple(given.items()), int(seed_text))
        except ValueError as error:
            raise BadInput(f"{recipe}: seed expected a whole number, got {seed_text!r}", "write seed=1") from error

    @property
    def definition(self) -> Recipe:
        """The recipe itself."""
        return catalogue.get(self.recipe)

    def resolved(self) -> dict[str, Value]:
        """Return every parameter of the recipe, defaults included."""
        return self.definition.resolve(dict(self.parameters))

    @property
    def spec(self) -> str:
        """What `parse` takes, with the seed."""
        return f"{self}{',' if self.parameters else ':'}seed={self.seed}"

    @property
    def name(self) -> str:
        """A short name for a folder; different candidates have different names."""
        changed = "".join(f"-{name}{value}" for name, value in self.parameters).lower()
        name = re.sub(r"[^a-z0-9._-]", "_", f"{self.recipe}{changed}-seed{self.seed}")
        return name if len(name) <= 80 else f"{name[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"

    def __str__(self) -> str:
        changed = ",".join(f"{name}={value}" for name, value in self.parameters)
        return f"{self.recipe}:{changed}" if changed else self.recipe
