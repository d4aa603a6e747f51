"""What a dataset is: four files with known content, and what is known about the images in them.

An image is uint8 of shape (height, width) if it is grey, (height, width, 3) if it has colours, as in Pillow.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from data.growth import Growth

if TYPE_CHECKING:  # names alone: the command line lists datasets without NumPy
    import numpy as np

ROLES = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True)
class SourceFile:
    """One IDX file. Its identity is the SHA-256 of the raw content, because mirrors compress anew.

    Args:
        name: file name on every mirror.
        served_sha256: SHA-256 of the bytes that the mirrors serve, compressed or not; None if unknown.
        served_bytes: their number; None if unknown.
        raw_sha256: SHA-256 after decompression; None if unknown, then `served_sha256` decides.
        raw_bytes: number of bytes after decompression.
    """

    name: str
    served_sha256: str | None
    served_bytes: int | None
    raw_sha256: str | None
    raw_bytes: int


@dataclass(frozen=True)
class Reference:
    """Statistics of the genuine images, measured by `data.statistics.summary.reference` when the row was written.

    Args:
        train_counts: number of training images per class.
        test_counts: number of test images per class.
        train_mean: mean of all training pixels, scaled to [0, 1].
        train_std: their standard deviation.
        test_mean: mean of all test pixels, scaled to [0, 1].
        test_std: their standard deviation.
        train_duplicates: training images whose pixels occur more than once among the training images.
        test_duplicates: the same within the test images.
        shared: test images whose pixels occur among the training images too.
        train_bands: for each numeric column of the summary table: its mean, and its 0.1 % and 99.9 % quantiles.
        test_bands: the same for the test images.
        train_classes: for each numeric column: its mean over the images of each class, 0 for a class without images;
            this shows labels that do not belong to their images.
        test_classes: the same for the test images.
    """

    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    train_mean: float
    train_std: float
    test_mean: float
    test_std: float
    train_duplicates: int
    test_duplicates: int
    shared: int
    train_bands: dict[str, tuple[float, float, float]]
    test_bands: dict[str, tuple[float, float, float]]
    train_classes: dict[str, tuple[float, ...]]
    test_classes: dict[str, tuple[float, ...]]


Fit = Literal["pad", "crop", "stretch"]


@dataclass(frozen=True)
class Geometry:
    """The one size and form that all images of a dataset have, and how others are brought to it.

    Args:
        height: in pixels.
        width: in pixels.
        channels: 1 for grey images, 3 for colour (red, green, blue).
        fit: `pad` scales an image until it fits and fills the rest with the ground; `crop` scales it until it covers
            everything and cuts off what is outside; `stretch` scales both sides on their own.
        ground: the colour around what is shown, one value in 0..255 per channel: it fills, replaces transparency, and
            moves in where an image is shifted or rotated.
    """

    height: int
    width: int
    channels: Literal[1, 3] = 1
    fit: Fit = "pad"
    ground: tuple[int, ...] = (0,)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image: (height, width), or (height, width, 3)."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)

    def __str__(self) -> str:
        return f"{self.height} × {self.width} pixels, {'grey' if self.channels == 1 else 'colour'}"


@dataclass(frozen=True)
class Origin:
    """Where a user's dataset was read from: what `nightshift datasets update` reads again.

    Args:
        location: a path or URL.
        options: how it was read: the options of `nightshift datasets add` that were given, by name, JSON-able.
    """

    location: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """A row of the catalogue.

    Args:
        name: what users type; also a folder's name.
        title: what people call it.
        mirrors: base URLs, best first; a path without a scheme is a folder of this package.
        files: the four files by role.
        height: of an image, in pixels.
        width: of an image, in pixels.
        n_train: number of training images.
        n_test: number of test images.
        class_names: what the labels 0, 1, 2... mean.
        licence: of the images.
        citation: the publication to cite.
        mirror_symmetric: whether an image flipped left to right still belongs to its class.
        reference: statistics of the genuine images; None if they were never measured.
        channels: 1 for grey images, 3 for colour.
        fit: how an image of another size is brought to this one: see `Geometry`.
        ground: the colour around what is shown, one value in 0..255 per channel.
        origin: where a user's dataset was read from; None for built-in ones, and for those added before this was kept.
        growth: how it follows its source; None if its files are as they were when it was added.
        snapshot: digest of the newest snapshot of a dataset that grows; "" for others. If it grows, `files` is empty,
            and `n_train` (with the validation images), `n_test` and `class_names` are those of this snapshot.
    """

    name: str
    title: str
    mirrors: tuple[str, ...]
    files: dict[str, SourceFile]
    height: int
    width: int
    n_train: int
    n_test: int
    class_names: tuple[str, ...]
    licence: str
    citation: str
    mirror_symmetric: bool
    reference: Reference | None
    channels: Literal[1, 3] = 1
    fit: Fit = "pad"
    ground: tuple[int, ...] = (0,)
    origin: Origin | None = None
    growth: Growth | None = None
    snapshot: str = ""

    @property
    def geometry(self) -> Geometry:
        """Size and form of the images."""
        return Geometry(self.height, self.width, self.channels, self.fit, self.ground)

    @property
    def n_classes(self) -> int:
        """Number of classes; labels run from 0 to `n_classes` - 1."""
        return len(self.class_names)

    @property
    def bytes_needed(self) -> int:
        """Free disk space that a run needs, in bytes: 50 MB were measured for MNIST, whose raw files have 55 MB."""
        return 2 * sum(file.raw_bytes for file in self.files.values()) + (50 << 20)

    def shape(self, role: str) -> tuple[int, ...]:
        """Return the shape that the array of this role must have."""
        n = self.n_train if role.startswith("train") else self.n_test
        return (n, *self.geometry.shape) if role.endswith("images") else (n,)


@dataclass(frozen=True)
class RawRef:
    """Names the content of a dataset's four files.

    Args:
        dataset: the dataset's name.
        digest: SHA-256 over the roles and the raw SHA-256 of the four files.
    """

    dataset: str
    digest: str


@dataclass(frozen=True)
class RawData:
    """The images and labels of a dataset, as its files hold them.

    Args:
        train_images: uint8, of shape (n_train, height, width), or (n_train, height, width, 3).
        train_labels: int64, of shape (n_train,).
        test_images: uint8, of shape (n_test, height, width), or (n_test, height, width, 3).
        test_labels: int64, of shape (n_test,).
    """

    train_images: "np.ndarray"
    train_labels: "np.ndarray"
    test_images: "np.ndarray"
    test_labels: "np.ndarray"
