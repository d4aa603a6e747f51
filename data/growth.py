"""How a dataset follows a source to which images are added; each setting is described once."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from data.errors import BadInput
from data.fields import described


def _field(description: str, allowed: str = "", **bounds: Any) -> Any:
    return Field(description=description, json_schema_extra={"allowed": allowed}, **bounds)


@dataclass(frozen=True)
class Growth:
    """What a night does about what is new in the source. Each annotation has the meaning: see `data.fields.described`.

    Raises:
        BadInput: a value is of another type or out of its bounds.
    """

    quarantine_share: Annotated[
        float, _field("share of the images that a night may leave out because they cannot be used", ge=0, le=1)
    ] = 0.001
    quarantine_least: Annotated[
        int, _field("as many may be left out, however few images there are", ge=0, le=1_000_000)
    ] = 3
    retrain_images: Annotated[
        int,
        _field(
            "train again once this many images are new or changed since the last training; 0: not by number",
            ge=0,
            le=1_000_000_000,
        ),
    ] = 1
    retrain_percent: Annotated[
        float, _field("train again once this many are, in percent of the images; 0: not by share", ge=0, le=1000)
    ] = 0.0
    retrain_days: Annotated[
        float, _field("train again after this many days if anything is new; 0: not by time", ge=0, le=3650)
    ] = 0.0
    drift: Annotated[
        Literal["warn", "stop"], _field("what a shift in the data does: a warning, or the end of the night")
    ] = "warn"

    def __post_init__(self) -> None:
        for name, field in described(type(self)).items():
            try:
                field.check(getattr(self, name))
            except ValueError as error:
                raise field.refusal(f"--{name.replace('_', '-')}:", getattr(self, name)) from error
        if not (self.retrain_images or self.retrain_percent or self.retrain_days):
            raise BadInput(
                "--retrain-images, --retrain-percent and --retrain-days are all 0, so nothing would ever be trained",
                "set one of them, such as --retrain-images 1",
            )

    def changed(self, given: dict[str, Any]) -> "Growth":
        """Return these settings with others in place of some.

        Raises:
            BadInput: a value is of another type or out of its bounds.
        """
        return dataclasses.replace(self, **given)

    def waits(self, changed: int, images: int, days: float) -> str:
        """Return why there is no need to train yet; "" if there is.

        Args:
            changed: images that are new, removed or have another label since the last training.
            images: images there are now.
            days: since the last training.
        """
        if changed == 0:
            return "nothing is new"
        limits = [
            (bool(self.retrain_images), changed >= self.retrain_images, f"{self.retrain_images:,} changes"),
            (
                bool(self.retrain_percent),
                100 * changed >= self.retrain_percent * images,
                f"changes to {self.retrain_percent:g} % of the images",
            ),
            (bool(self.retrain_days), days >= self.retrain_days, f"{self.retrain_days:g} days"),
        ]
        if any(asked and met for asked, met, _ in limits):
            return ""
        wanted = " or ".join(words for asked, _, words in limits if asked)
        since = f"{changed:,} {'image has' if changed == 1 else 'images have'} changed in {days:.1f} days"
        return f"{since}, and training waits for {wanted}"
