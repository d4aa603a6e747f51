"""Training a network: it learns, repeats, stops, resumes and refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.models.saving import save, weights_digest
from artifacts.optimization.feed import dataset_info
from artifacts.recipes.candidate import Candidate
from artifacts.training.checkpoint import Resume, read
from artifacts.training.fit import Fitted, fit
from artifacts.training.history import Progress
from data.dataset import Geometry
from data.errors import DataRefused, TrainingFailed, UnknownName
from data.sources.idx import read_idx, unpack
from tests.artifacts.small import Images, blobs, info

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def examples() -> Images:
    """300 images of 12 by 10 in three classes."""
    return blobs(300)


@pytest.fixture(scope="module")
def fitted(examples: Images) -> Fitted:
    """The tiny recipe, trained for two epochs."""
    return fit(examples, blobs(60, seed=1), info(examples), Candidate.parse("tiny:epochs=2"))


def test_it_learns(examples: Images, fitted: Fitted) -> None:
    """A tiny training on images that are easy to distinguish ends near perfect on images it has not seen."""
    assert fitted.history[-1].val_accuracy > 0.9
    assert fitted.history[-1].loss < fitted.history[0].loss


@pytest.mark.fault("F-45")
@pytest.mark.parametrize("spec", ["tiny:epochs=2", "cnn:epochs=2", "vgg:epochs=3,width=4"])
def test_same_seed_same_weights(examples: Images, spec: str) -> None:
    """The same inputs and seed give the same weights, bit by bit; another seed gives others."""

    def digest(seed: int) -> str:
        return weights_digest(fit(examples, examples, info(examples), Candidate.parse(spec, seed)).model)

    first, again, other = digest(3), digest(3), digest(4)
    assert first == again
    assert first != other


def test_every_trace_of_a_training_is_the_same(mirror: Path) -> None:
    """A hundred steps of `cnn` on real images give the same weights: TensorFlow once rewrote Muon's sums each time."""
    folder = mirror / "fashion-mnist"
    images = read_idx(unpack((folder / "train-images-idx3-ubyte.gz").read_bytes(), 1 << 30, "images"), "images")
    labels = read_idx(unpack((folder / "train-labels-idx1-ubyte.gz").read_bytes(), 1 << 30, "labels"), "labels")
    scaled = np.asarray(images[:13_000] / np.float32(255), np.float32)
    some, few = (
        Images(scaled[:12_800], labels[:12_800].astype(np.int64)),
        Images(scaled[12_800:], labels[12_800:13_000]),
    )
    about = dataset_info(some, Geometry(28, 28), 10, mirror_symmetric=True)
    digests = {weights_digest(fit(some, few, about, Candidate.parse("cnn:epochs=2")).model) for _ in range(2)}
    assert len(digests) == 1


def test_progress_after_every_epoch(examples: Images) -> None:
    """A listener gets every epoch as it ends, and can end the training by raising."""
    seen: list[Progress] = []
    fit(examples, examples, info(examples), Candidate.parse("tiny:epochs=3"), on_progress=seen.append)
    assert [(progress.epoch, progress.epochs) for progress in seen] == [(1, 3), (2, 3), (3, 3)]
    assert all(progress.images_per_s > 0 for progress in seen)
    assert seen[0].seconds <= seen[-1].seconds

    def stop(_progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(examples, examples, info(examples), Candidate.parse("tiny:epochs=3"), on_progress=stop)


def test_history_is_measured_on_all_images(examples: Images, fitted: Fitted) -> None:
    """The last validation figures are those of the network that is kept, computed here by hand."""
    held_out = blobs(60, seed=1)
    logits = np.asarray(fitted.model(held_out.images), np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    truth = log_probabilities[np.arange(60), held_out.labels]
    assert fitted.history[-1].val_loss == pytest.approx(-truth.mean(), rel=1e-4)
    assert fitted.history[-1].val_accuracy == pytest.approx((logits.argmax(axis=1) == held_out.labels).mean())


@pytest.mark.fault("F-34")
def test_a_loss_that_is_not_finite_stops_the_candidate(examples: Images) -> None:
    """A training that diverges ends in the epoch where it does; the message says which, and what to do."""
    wild = Candidate.parse("linear-64:learning_rate=10")
    seen: list[Progress] = []
    with pytest.raises(TrainingFailed, match=r"finite in epoch \d+ of 667"):
        fit(examples, examples, info(examples), wild, on_progress=seen.append)
    assert len(seen) < 667


@pytest.mark.parametrize("spec", ["tiny:epochs=4", "cnn-small:epochs=4,batch=16,leave_out=0.5"])
def test_a_killed_training_continues(
    examples: Images, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after its second epoch and started again, it trains only the rest and ends with the same weights."""
    monkeypatch.setattr("artifacts.training.checkpoint.EVERY_S", 0.0)
    candidate, resume = Candidate.parse(spec), Resume(tmp_path / "state", data="these images")
    trained: list[int] = []

    def run(stop_after: int = 9, **options: Any) -> str:
        def watch(progress: Progress) -> None:
            trained.append(progress.epoch)
            if progress.epoch == stop_after:
                raise KeyboardInterrupt

        return weights_digest(fit(examples, examples, info(examples), candidate, on_progress=watch, **options).model)

    uninterrupted = run()
    with pytest.raises(KeyboardInterrupt):
        run(stop_after=2, resume=resume)
    kept = read(resume.path, read_identity(resume.path))
    assert kept is not None
    assert len(kept.history) == 2
    assert run(resume=resume) == uninterrupted
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_patience_ends_a_training_and_keeps_its_best_epoch() -> None:
    """On validation labels that cannot be learned it ends early, with the weights of its best epoch."""
    training, held_out = blobs(120), blobs(90, seed=1)
    held_out = Images(held_out.images, np.random.default_rng(2).integers(0, 3, 90))
    spec = "mlp:epochs=40,hidden=16,schedule=constant"
    through = fit(training, held_out, info(training), Candidate.parse(spec))
    early = fit(training, held_out, info(training), Candidate.parse(f"{spec},patience=4"))
    accuracies = [entry.val_accuracy for entry in early.history]
    assert len(through.history) == 40
    assert len(early.history) < 40
    best = int(np.argmax(accuracies))
    assert len(accuracies) - 1 - best == 4
    kept = np.asarray(early.model(held_out.images)).argmax(axis=1)
    assert (kept == held_out.labels).mean() == pytest.approx(accuracies[best])
    assert [entry.val_accuracy for entry in through.history[: len(accuracies)]] == accuracies


def test_patience_survives_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after its best epoch, it still ends in the same epoch with the same weights."""
    monkeypatch.setattr("artifacts.training.checkpoint.EVERY_S", 0.0)
    training, held_out = blobs(120), blobs(90, seed=1)
    held_out = Images(held_out.images, np.random.default_rng(2).integers(0, 3, 90))
    candidate = Candidate.parse("mlp:epochs=40,hidden=16,schedule=constant,patience=4")
    resume = Resume(tmp_path / "state", data="these images")
    uninterrupted = fit(training, held_out, info(training), candidate)

    def die(progress: Progress) -> None:
        if progress.epoch == len(uninterrupted.history) - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(training, held_out, info(training), candidate, on_progress=die, resume=resume)
    resumed = fit(training, held_out, info(training), candidate, resume=resume)
    assert weights_digest(resumed.model) == weights_digest(uninterrupted.model)
    assert [one.val_accuracy for one in resumed.history] == [one.val_accuracy for one in uninterrupted.history]


@pytest.mark.parametrize("damage", ["another training", "truncated", "nonsense"])
def test_a_checkpoint_that_does_not_fit_is_not_used(
    examples: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """A checkpoint of other data, or a damaged one, is ignored: the training starts at its beginning."""
    monkeypatch.setattr("artifacts.training.checkpoint.EVERY_S", 0.0)
    path = tmp_path / "state"
    candidate = Candidate.parse("tiny:epochs=1")
    data = "other images" if damage == "another training" else "these images"
    first = fit(examples, examples, info(examples), candidate, resume=Resume(path, data)).model
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    if damage == "nonsense":
        path.write_bytes(b"PK nonsense")
    other = blobs(300, seed=5)
    again = fit(other, other, info(other), candidate, resume=Resume(path, "these images")).model
    assert weights_digest(again) != weights_digest(first)
    assert weights_digest(again) == weights_digest(fit(other, other, info(other), candidate).model)


def read_identity(path: Path) -> str:
    """Return the identity of the training that a checkpoint belongs to."""
    with np.load(path) as content:
        return str(json.loads(str(content["header"]))["identity"])


@pytest.mark.fault("F-37")
def test_no_gpu_no_training(examples: Images) -> None:
    """Asking for a GPU where there is none fails before anything is built; an unknown device is a wrong name."""
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        with pytest.raises(TrainingFailed, match="sees no GPU"):
            fit(examples, examples, info(examples), Candidate("tiny"), device="gpu")
    with pytest.raises(UnknownName, match="known: auto, cpu, gpu"):
        fit(examples, examples, info(examples), Candidate("tiny"), device="tpu")


def _labels(value: int) -> Any:
    return lambda images, labels: (images, np.where(np.arange(len(labels)) == 7, value, labels))


def _pixel(value: float) -> Any:
    return lambda images, labels: (np.where(np.arange(len(images))[:, None, None] == 7, value, images), labels)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (_labels(3), "labels 0..2, got 0..3"),
        (_labels(-1), "labels 0..2, got -1..2"),
        (_pixel(np.nan), "pixels in \\[0, 1\\]"),
        (_pixel(255.0), "pixels in \\[0, 1\\]"),
        (lambda images, labels: (images[:, :-1], labels), "images \\(n, 12, 10\\)"),
        (lambda images, labels: (images, labels[:-1]), "as many labels"),
        (lambda images, labels: (images[:0], labels[:0]), "images \\(n, 12, 10\\)"),
    ],
)
def test_wrong_data_is_refused_before_training(examples: Images, spoil: Any, complaint: str) -> None:
    """Labels out of range, pixels outside [0, 1] and shapes that do not fit never reach the network."""
    spoiled = Images(*spoil(examples.images, examples.labels))
    for pair in ((spoiled, examples), (examples, spoiled)):
        with pytest.raises(DataRefused, match=complaint):
            fit(*pair, info(examples), Candidate("tiny"))


def test_members_are_one_model(examples: Images, tmp_path: Path) -> None:
    """Three nets are kept as one model file with three times the weights; validation has measured their mean."""
    one, three = (
        fit(examples, examples, info(examples), Candidate.parse(f"cnn:epochs=1,members={members}"))
        for members in (1, 3)
    )
    assert three.model.count_params() == 3 * one.model.count_params()
    save(three.model, tmp_path / "model.keras")
    logits = np.asarray(three.model(examples.images))
    assert logits.shape == (300, 3)
    assert np.mean(logits.argmax(axis=1) == examples.labels) == pytest.approx(three.history[-1].val_accuracy, abs=0.01)


def test_a_rare_class_is_found_more_often_where_classes_count_alike() -> None:
    """Of 400 images in noise 16 are of the rare class: with `balance=1` more of its 200 test images are found."""
    rng = np.random.default_rng(0)

    def drawn(frequent: int, rare: int) -> Images:
        labels = np.repeat([0, 1], [frequent, rare])
        images = rng.normal(0.5, 0.15, (len(labels), 8, 8)) + 0.04 * labels[:, None, None]
        return Images(images.clip(0, 1).astype(np.float32), labels)

    training, held_out, test = drawn(384, 16), drawn(96, 4), drawn(0, 200)
    found = []
    for balance in (0, 1):
        spec = f"mlp:hidden=16,epochs=5,batch=50,balance={balance}"
        model = fit(training, held_out, info(training, 2), Candidate.parse(spec)).model
        found.append(float((np.asarray(model(test.images)).argmax(axis=1) == 1).mean()))
    assert found[1] > found[0] + 0.2
