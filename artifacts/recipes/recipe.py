"""What a recipe is: typed parameters, a network, a plan. A candidate is a recipe with its parameters and a seed.

Nothing here imports Keras: recipes are listed, parsed and validated in milliseconds, and only `build` costs an import.
"""

import inspect
import itertools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from artifacts.recipes.parameters import Parameter, Value
from data.errors import BadInput, UnknownName

Settings = Mapping[str, Any]

# Parameters that had another name before: what homes have recorded can be replayed.
FORMER = {"turn": "rotation"}


@dataclass(frozen=True)
class DatasetInfo:
    """What a recipe may know about a dataset before it sees it.

    Args:
        height: rows of an image.
        width: columns of an image.
        n_classes: 2..1000.
        n_train: images it will be trained on, at least 1.
        mirror_symmetric: whether an image flipped left-right still belongs to its class.
        margin: width, in pixels, of the empty frame around the images: they can be shifted by so much without loss.
        channels: 1 for grey images, 3 for colour.
        ground: the colour around what is shown, one value in [0, 1] per channel: it moves in where images are shifted.
        class_counts: training images of each class; empty where they are not known.
    """

    height: int
    width: int
    n_classes: int
    n_train: int
    mirror_symmetric: bool = False
    margin: int = 0
    channels: int = 1
    ground: tuple[float, ...] = (0.0,)
    class_counts: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image: (height, width), or (height, width, 3): what `layers.Input` is given."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)


# A hand-written training step: (model, images (b, ...), one-hot targets (b, c), mask (b,)) -> logits (b, c).
Step = Callable[[Any, Any, Any, Any], Any]


@dataclass(frozen=True)
class Plan:
    """How a network is trained. Every switch acts inside the compiled loop.

    Args:
        epochs: passes over the training images.
        batch: images per step; the last, smaller batch of an epoch is trained on with the mean over its own images.
        optimizer: the update rule.
        learning_rate: the rate, or its peak where the schedule is not constant.
        schedule: `constant`; `triangular` (linear up to the peak, linear down to zero: one cycle);
            `cosine` (linear up, then half a cosine down to zero).
        warmup: share of all steps spent rising to the peak, 0..1.
        steps: stop after this many steps, if that is before the last epoch ends.
        betas: Adam's two decay rates.
        momentum: decay rate of Muon's sum over gradients.
        weight_decay: decoupled from the gradient, times the learning rate.
        label_smoothing: share of the target spread evenly over all classes, 0..1.
        balance: 0 counts every image alike; 1 counts every class alike: an image weighs one over the images of its
            class; between them, that to this power. On average an image weighs 1.
        shift: largest shift of an image up, down, left and right, in pixels; the dataset's ground moves in.
        flip: each image is mirrored in every other epoch, at random beginning with the first or the second.
        rotation: largest random rotation of an image about its centre to either side, in degrees.
        zoom: largest change of an image's size, as a share of it.
        cutout: side of a square, in pixels, that becomes ground at a random place of each image.
        average_flips: what is validated and kept gives the mean of the logits of an image and of its mirror image.
        members: nets trained side by side from different initial weights; what is validated and kept gives the mean of
            their logits. Not with a hand-written step.
        ema: decay per step of an average over the weights which, if above 0, is what is validated and kept.
        leave_out: share of the images, 0..1, that is left out of every epoch but the first and the last: some of those
            with the smallest losses. The others of these are weighted up for it (InfoBatch, Qin et al. 2024).
        patience: end after this many epochs without a better validation accuracy, and keep the weights of the best
            epoch; 0 trains to the end and keeps the last.
        step: a hand-written step that replaces automatic differentiation and the optimizer.
    """

    epochs: int
    batch: int
    optimizer: Literal["sgd", "adam", "adamw", "muon"]
    learning_rate: float
    schedule: Literal["constant", "triangular", "cosine"] = "constant"
    warmup: float = 0.2
    steps: int | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.6
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    balance: float = 0.0
    shift: int = 0
    flip: bool = False
    rotation: float = 0.0
    zoom: float = 0.0
    cutout: int = 0
    average_flips: bool = False
    members: int = 1
    ema: float = 0.0
    leave_out: float = 0.0
    patience: int = 0
    step: Step | None = None

    def lengths(self, n: int) -> tuple[int, ...]:
        """Return how many steps each epoch has that is begun, for n training images."""
        ends = itertools.accumulate(self.taken(epoch, -(-n // self.batch)) for epoch in range(self.epochs))
        within = [min(end, self.steps or end) for end in ends]
        return tuple(end - start for start, end in itertools.pairwise([0, *within]) if end > start)

    def taken(self, epoch: int, batches: int) -> int:
        """Return how many steps an epoch, counted from 0, takes for the images of its first `batches` batches."""
        whole = epoch in (0, self.epochs - 1)
        return batches if whole else math.ceil(batches * (1.0 - self.leave_out))


@dataclass(frozen=True)
class Recipe:
    """One model family. Its module's docstring is the document: see `describe`.

    Args:
        name: as written on the command line.
        document: the module's docstring: first line what it is, then `Claim:`, `Cost:` and `Command:` paragraphs, the
            accuracy that was measured, the seconds it took, and what to run to measure it again.
        family: `dense` or `conv`; decides whether a CPU trains it through XLA.
        parameters: what may be changed.
        build: (info, settings) -> Keras model from float32 images (b, *info.shape) in [0, 1] to float32 logits (b, c).
        plan: (info, settings) -> how to train it.
        bfloat16: whether its accuracy has been shown unharmed in mixed bfloat16 (`benchmarks/precision.py`).
        min_size: least height and width, in pixels, of the images that it takes.
        layers: modules with layers of one's own, each registered with `keras.saving.register_keras_serializable`; they
            are imported before a model is loaded.
        activation_at_end: whether the last layer may be a softmax or sigmoid. What it gives is taken for logits, so
            this is nearly always a mistake, and refused by default.

    Raises:
        BadInput: the name has other characters than a-z, 0-9, - and _.
    """

    name: str
    document: str
    family: Literal["dense", "conv"]
    build: Callable[[DatasetInfo, Settings], Any]
    plan: Callable[[DatasetInfo, Settings], Plan]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    bfloat16: bool = False
    min_size: int = 1
    layers: tuple[str, ...] = ()
    activation_at_end: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", self.name):
            raise BadInput(f"expected a recipe name of up to 40 of a-z, 0-9, - and _, got {self.name!r}", "rename it")

    @property
    def module(self) -> str:
        """The module that `build` is defined in."""
        return str(getattr(self.build, "__module__", ""))

    @property
    def summary(self) -> str:
        """What it is, in one line."""
        return self.document.strip().splitlines()[0]

    @property
    def claim(self) -> str:
        """The accuracy that was measured, and over how many seeds."""
        return self._paragraph("Claim")

    @property
    def command(self) -> str:
        """What to run to measure it again."""
        return self._paragraph("Command")

    def resolve(self, overrides: Mapping[str, object]) -> dict[str, Value]:
        """Return every parameter of the recipe, with the overrides in place of the defaults.

        Args:
            overrides: values by name; the names that parameters had in earlier versions (`FORMER`) are accepted.

        Raises:
            UnknownName: the recipe has no such parameter.
            BadInput: a value is of the wrong type or out of range, or is given under the former name as well.
        """
        values: dict[str, Value] = {name: parameter.default for name, parameter in self.parameters.items()}
        for name, given in self.renamed(overrides).items():
            if name not in values:
                raise UnknownName.among(f"parameter of {self.name}", name, values)
            try:
                values[name] = self.parameters[name].read(given)
            except ValueError as error:
                raise self.parameters[name].refusal(f"{self.name}: {name}", given) from error
        if "least_steps" in values and "least_steps" not in overrides and {"epochs", "batch"} & set(overrides):
            values["least_steps"] = 0  # who says how long, is obeyed
        return values

    def renamed(self, overrides: Mapping[str, object]) -> dict[str, object]:
        """Return the overrides under the names that parameters have now.

        Raises:
            BadInput: a value is given under both names.
        """
        names = {former: name for former, name in FORMER.items() if {former, name} & set(self.parameters) == {name}}
        for former, name in names.items():
            if former in overrides and name in overrides:
                raise BadInput(f"{self.name}: got both {name} and its former name {former}", f"leave out {former}")
        return {names.get(name, name): given for name, given in overrides.items()}

    def shortened(self, steps: int) -> "Recipe":
        """Return the same recipe, training for at most `steps` steps: to see whether it works."""

        def plan(info: DatasetInfo, settings: Settings) -> Plan:
            whole = self.plan(info, settings)
            return replace(whole, steps=min(steps, whole.steps or steps))

        return replace(self, plan=plan)

    def _paragraph(self, label: str) -> str:
        found = re.search(rf"^{label}: (.+?)(?:\n\n|\Z)", inspect.cleandoc(self.document), re.DOTALL | re.MULTILINE)
        return " ".join(found[1].split()) if found else ""
