"""How a source is read: the options of `nightshift datasets add`, each described once.

Command line, documentation and messages take names and texts from here; a dataset's row keeps the options that were
given, so that `nightshift datasets update` reads the source again without asking.
"""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from data.dataset import Fit, Geometry
from data.errors import BadInput
from data.fields import described
from data.values import from_json

Kind = Literal["auto", "folder", "table", "arrays", "idx", "tar"]

MAX_SIDE = 1024  # pixels; images of this size in colour have 3 MB each
MAX_CLASSES = 1000


def flag(name: str) -> str:
    """Return an option as it is written on the command line: `first_label` is `--first-label`."""
    return f"--{name.replace('_', '-')}"


def _field(description: str, allowed: str, **bounds: Any) -> Any:
    return Field(description=description, json_schema_extra={"allowed": allowed}, **bounds)


Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Level = Annotated[int, Field(ge=0, le=255)]


@dataclass(frozen=True)
class ImportOptions:
    """How to read a source. Each annotation has the meaning: see `data.fields.described`.

    Raises:
        BadInput: a value is of another type or out of its bounds.
    """

    kind: Annotated[
        Kind, _field("what the source is; auto: found by looking", "auto, folder, table, arrays, idx, tar")
    ] = "auto"
    test: Annotated[
        str, _field("where the test images are, if not in the source itself: a path or URL", "a path or URL")
    ] = ""
    test_share: Annotated[
        float,
        _field(
            "share of each class that becomes the test set, by content, where the source has none",
            "0.01..0.9",
            ge=0.01,
            le=0.9,
        ),
    ] = 0.2
    classes: Annotated[
        tuple[str, ...],
        _field("names of the classes in the order of their labels; default: as the source names them", "names"),
    ] = ()
    first_label: Annotated[
        int,
        _field(
            "the label of the first class, such as 1 if labels run from 1", "a whole number", ge=-1000, le=1_000_000
        ),
    ] = 0
    ignore_labels: Annotated[
        tuple[str, ...], _field("labels whose images are left out, such as 255 for 'unlabelled'", "labels")
    ] = ()
    labels_are_names: Annotated[
        bool,
        _field(
            "each different label is a class of its own, whatever it looks like: -1 and 1, or 0, 5 and 9",
            "true or false",
        ),
    ] = False
    transpose: Annotated[
        bool, _field("swap rows and columns of each image, as EMNIST's files need", "true or false")
    ] = False
    height: Annotated[
        Side | None, _field("height of the images in pixels; default: from a sample", f"1..{MAX_SIDE}")
    ] = None
    width: Annotated[Side | None, _field("width of the images in pixels; default: from a sample", f"1..{MAX_SIDE}")] = (
        None
    )
    channels: Annotated[Literal[1, 3] | None, _field("1: grey, 3: colour; default: from a sample", "1 or 3")] = None
    fit: Annotated[
        Fit,
        _field(
            "how other sizes are brought to this one: scaled and padded, scaled and cropped, or stretched",
            "pad, crop, stretch",
        ),
    ] = "pad"
    ground: Annotated[
        tuple[Level, ...] | None,
        _field(
            "colour around what is shown, 0..255, one value or three; default: the images' borders",
            "one or three numbers in 0..255",
        ),
    ] = None
    white: Annotated[
        float | None,
        _field(
            "numbers: the value that means white; default: 1 for fractions, 255, or 65535 for 16 bits",
            "a number above 0",
            gt=0,
            le=1e9,
        ),
    ] = None
    image_column: Annotated[
        str, _field("table: the column with images or their paths; default: found by looking", "a column")
    ] = ""
    label_column: Annotated[str, _field("table: the column with labels; default: found by looking", "a column")] = ""
    split_column: Annotated[str, _field("table: the column that says train or test; default: split", "a column")] = ""

    def __post_init__(self) -> None:
        for name, field in described(type(self)).items():
            try:
                field.check(getattr(self, name))
            except ValueError as error:
                found = getattr(self, name)
                raise BadInput(f"{flag(name)}: expected {field.allowed}, got {found!r}", field.help) from error
        if self.ground is not None and len(self.ground) not in (1, 3):
            raise BadInput(
                f"--ground: expected one or three numbers, got {self.ground}", "such as 255, or 255 0 0 for red"
            )

    def given(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, by name, as JSON can hold them."""
        values = dataclasses.asdict(self)
        fields = {field.name: field.default for field in dataclasses.fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value != fields[name]
        }

    @classmethod
    def from_given(cls, given: dict[str, Any]) -> "ImportOptions":
        """Return the options that `given` was called on.

        Raises:
            ValueError: a name or a value cannot be an option.
        """
        return from_json(cls, given)

    def fixed(self, geometry: Geometry) -> "ImportOptions":
        """Return these options with the geometry that a dataset has already, so that nothing is guessed again."""
        return dataclasses.replace(
            self,
            height=geometry.height,
            width=geometry.width,
            channels=geometry.channels,
            fit=geometry.fit,
            ground=geometry.ground,
        )
