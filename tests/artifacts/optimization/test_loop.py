"""Every switch of the loop, by its effect on a tiny training."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from artifacts.recipes.catalogue import recipes
from artifacts.recipes.recipe import DatasetInfo, Plan
from tests.artifacts.small import Images, blobs

Weights = list[npt.NDArray[np.float32]]
PLAIN: dict[str, Any] = {"epochs": 1, "batch": 4, "optimizer": "sgd", "learning_rate": 0.5}


def run(examples: Images, epochs: int = 1, jit: bool = False, start: Weights | None = None, **switches: Any) -> Weights:
    """Train softmax regression from zero weights (or from `start`) and return kernel (pixels, classes) and bias."""
    model, loop, _ = set_up(examples, jit=jit, epochs=epochs, **switches)
    if start is not None:
        model.set_weights(start)
    for epoch, length in enumerate(loop.plan.lengths(len(examples.labels))):
        loop.epoch(feed(examples), (0, epoch), length)
    loop.finish()
    return [np.asarray(weight) for weight in model.get_weights()]


def set_up(examples: Images, jit: bool = False, **switches: Any) -> tuple[Any, Any, Plan]:
    """Return a softmax regression, its loop, and the plan."""
    from artifacts.optimization.loop import Loop

    plan = Plan(**{**PLAIN, **switches})
    _, height, width = examples.images.shape
    recipe = recipes()["softmax-regression"]
    model = recipe.build(DatasetInfo(height, width, 3, len(examples.labels)), {})
    return model, Loop(model, plan, len(examples.labels), jit), plan


def feed(source: Any, batch: int = 4) -> Any:
    """Return what gives the loop its images."""
    from artifacts.optimization.feed import Feed

    return Feed(source, batch)


def orders(n: int, epochs: int = 1) -> npt.NDArray[np.int32]:
    """Return the order of the rows that the loop will draw, one line per step."""
    from artifacts.optimization.augmentation import draw

    return np.concatenate([draw(Plan(**PLAIN), n, (0, epoch, 0)).order for epoch in range(epochs)])


def by_hand(examples: Images, order: npt.NDArray[np.int32], rates: Callable[[int], float]) -> Weights:
    """Train the same softmax regression in NumPy, step by step."""
    flat = examples.images.reshape(len(examples.labels), -1).astype(np.float64)
    truth = np.eye(3)[examples.labels]
    kernel, bias = np.zeros((flat.shape[1], 3)), np.zeros(3)
    for index, padded in enumerate(order):
        rows = padded[padded >= 0]
        logits = flat[rows] @ kernel + bias
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = (exponentials / exponentials.sum(axis=1, keepdims=True) - truth[rows]) / len(rows)
        kernel -= rates(index) * flat[rows].T @ error
        bias -= rates(index) * error.sum(axis=0)
    return [kernel.astype(np.float32), bias.astype(np.float32)]


@pytest.fixture(scope="module")
def examples() -> Images:
    """Ten images: with batches of four, the last batch of an epoch has two."""
    return blobs(10)


@pytest.mark.parametrize("jit", [False, True], ids=["without XLA", "with XLA"])
def test_gradient_descent_is_gradient_descent(examples: Images, jit: bool) -> None:
    """Three steps, the last on the two images left over, give what NumPy gives: nothing dropped, nothing diluted."""
    order = orders(10)
    assert (order[-1] >= 0).sum() == 2
    for got, expected in zip(run(examples, jit=jit), by_hand(examples, order, lambda _: 0.5), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_every_image_once_in_an_order_of_its_own() -> None:
    """An epoch's order has every image once; it differs between epochs and seeds, and is the same when asked again."""
    from artifacts.optimization.augmentation import draw

    plan = Plan(**PLAIN)
    drawn = [draw(plan, 10, seed).order.ravel() for seed in ((0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1))]
    for order in drawn:
        assert sorted(order[:10]) == [*range(10)]
        assert (order[10:] == -1 - order[:2]).all()
    assert len({order.tobytes() for order in drawn}) == 4
    assert (draw(plan, 10, (0, 0, 0)).order.ravel() == drawn[0]).all()


def test_metrics_of_an_epoch_count_every_image(examples: Images) -> None:
    """With a rate of nearly 0 the network stays at zero: the loss is log 3 and ten images were seen."""
    _, loop, _ = set_up(examples, learning_rate=1e-9)
    loss, accuracy, count = loop.epoch(feed(examples), (0, 0), 3)
    assert loss == pytest.approx(np.log(3), rel=1e-4)
    assert count == 10
    assert 0 <= accuracy <= 1
    assert loop.measure(feed(examples))[0] == pytest.approx(np.log(3), rel=1e-4)


def test_measuring_leaves_nothing_out() -> None:
    """1,003 images, which is no multiple of what is measured at once, are all measured."""
    examples = blobs(1003)
    model, loop, _ = set_up(examples)
    start = [np.random.default_rng(0).normal(size=weight.shape).astype(np.float32) for weight in model.get_weights()]
    model.set_weights(start)
    logits = examples.images.reshape(1003, -1) @ start[0] + start[1]
    assert loop.measure(feed(examples))[1] == pytest.approx((logits.argmax(axis=1) == examples.labels).mean())


def test_it_stops_at_the_first_loss_that_is_not_finite(examples: Images) -> None:
    """A poisoned image ends the epoch at its batch: no step is taken after it."""
    poisoned = Images(examples.images.copy(), examples.labels)
    _, loop, _ = set_up(examples)
    poisoned.images[orders(10)[1, 0]] = np.nan
    loss, _, count = loop.epoch(feed(poisoned), (0, 0), 3)
    assert np.isnan(loss)
    assert count == 8


def test_steps_end_a_training_in_the_middle_of_an_epoch(examples: Images) -> None:
    """Four steps of three per epoch: one epoch, and one step of the next."""
    expected = by_hand(examples, orders(10, epochs=2)[:4], lambda _: 0.5)
    np.testing.assert_allclose(run(examples, epochs=9, steps=4)[0], expected[0], atol=1e-5)


@pytest.mark.parametrize("schedule", ["triangular", "cosine"])
def test_schedules_set_the_rate_of_every_step(examples: Images, schedule: str) -> None:
    """The rate rises linearly to its peak and falls to nearly zero over all steps; the training follows it."""

    def rate(step: int) -> float:
        done = (step + 0.5) / 12
        falling = (1 - done) / 0.75
        if schedule == "cosine":
            falling = (1 - np.cos(np.pi * min(falling, 1))) / 2
        return 0.5 * min(done / 0.25, 1, falling)

    rates = [rate(step) for step in range(12)]
    assert max(rates) > 0.4
    assert rates[-1] < 0.05
    got = run(examples, epochs=4, schedule=schedule, warmup=0.25)
    np.testing.assert_allclose(got[0], by_hand(examples, orders(10, epochs=4), rate)[0], atol=1e-5)


def test_weight_decay_shrinks_weights_that_nothing_else_moves(examples: Images) -> None:
    """A weight of a pixel that is always dark loses rate * decay of itself in every step; without decay it stays."""
    start = [np.ones((120, 3), np.float32), np.zeros(3, np.float32)]
    dark = 0  # the first column of the images is always dark
    assert run(examples, start=start)[0][dark] == pytest.approx(1)
    decayed = run(examples, start=start, weight_decay=0.1)[0][dark]
    assert decayed == pytest.approx((1 - 0.5 * 0.1) ** 3, rel=1e-5)


def test_label_smoothing_keeps_the_network_modest(examples: Images) -> None:
    """Trained for long, a smoothed network stops near a truth of 1 - s + s/3; an unsmoothed one goes on."""

    def confidence(**switches: Any) -> float:
        kernel, bias = run(examples, epochs=60, **switches)
        logits = examples.images.reshape(10, -1) @ kernel + bias
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return float((exponentials / exponentials.sum(axis=1, keepdims=True)).max(axis=1).mean())

    assert confidence(label_smoothing=0.3) == pytest.approx(0.8, abs=0.03)
    assert confidence() > 0.95


def test_shifts_show_pixels_where_there_were_none(examples: Images) -> None:
    """The weights of border columns, always dark, only move when images are shifted."""
    columns = run(examples, epochs=3)[0].reshape(12, 10, 3)
    assert not columns[:, [0, -1]].any()
    shifted = run(examples, epochs=3, shift=2)[0].reshape(12, 10, 3)
    assert shifted[:, 0].any()
    assert shifted[:, -1].any()


def test_flips_show_the_other_side(examples: Images) -> None:
    """Images with a dark right half only teach the right half's weights when they are flipped."""
    half = Images(examples.images.copy(), examples.labels)
    half.images[:, :, 5:] = 0
    assert not run(half)[0].reshape(12, 10, 3)[:, 5:].any()
    assert run(half, flip=True)[0].reshape(12, 10, 3)[:, 5:].any()


def test_cutouts_hide_what_they_cover(examples: Images) -> None:
    """Where a cutout covers the whole image, nothing is learned from it but the bias."""
    weights, bias, *_ = run(examples, epochs=3, cutout=40)
    assert not weights.any()
    assert bias.any()


def test_augmentations_do_what_they_say() -> None:
    """Each image is flipped, moved and cut on its own, zeros come in, and nothing else happens to a pixel."""
    from artifacts.optimization.augmentation import augment

    images = np.random.default_rng(0).random((3, 9, 8)).astype(np.float32)
    flips, centres = np.array([True, False, True]), np.array([[0.5, 0.5], [0.0, 0.0], [0.99, 0.3]], np.float32)
    shifts = np.array([[4, 1], [0, 3], [2, 2]], np.int32)
    affine = np.ones((3, 2), np.float32)
    moved = np.asarray(augment(Plan(**PLAIN, shift=2, flip=True, cutout=3), images, shifts, flips, centres, affine))
    expected = images.copy()
    expected[flips] = expected[flips][:, :, ::-1]
    padded = np.pad(expected, ((0, 0), (2, 2), (2, 2)))
    expected = np.stack([padded[i, down : down + 9, right : right + 8] for i, (down, right) in enumerate(shifts)])
    expected[0, 3:6, 3:6] = expected[1, :2, :2] = expected[2, 7:, 1:4] = 0
    np.testing.assert_array_equal(moved, expected)
    untouched = augment(Plan(**PLAIN), images, shifts, flips, centres, affine)
    np.testing.assert_array_equal(np.asarray(untouched), images)


def test_rotated_and_zoomed_images_are_what_scipy_makes_of_them() -> None:
    """Each image is rotated and scaled about its centre by its own share of the maximum, bilinearly."""
    from scipy import ndimage

    from artifacts.optimization.augmentation import augment

    images = np.random.default_rng(0).random((3, 9, 8)).astype(np.float32)
    affine = np.array([[1.0, 0.0], [-0.5, 1.0], [0.0, -1.0]], np.float32)
    none = np.zeros((3, 2), np.int32), np.zeros(3, bool), np.zeros((3, 2), np.float32)
    rotated = np.asarray(augment(Plan(**PLAIN, rotation=30, zoom=0.2), images, *none, affine))
    centre = np.array([4.0, 3.5])
    for image, got, angle, scale in zip(images, rotated, (30, -15, 0), (1.0, 1.2, 0.8), strict=True):
        cosine, sine = np.cos(np.radians(angle)) / scale, np.sin(np.radians(angle)) / scale
        matrix = np.array([[cosine, -sine], [sine, cosine]])
        expected = ndimage.affine_transform(image, matrix, centre - matrix @ centre, order=1, mode="grid-constant")
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_rotated_digit_is_learned_upright_and_rotated(examples: Images) -> None:
    """Pixels that are always dark without rotation are lit with it, so their weights learn."""
    line = Images(np.zeros_like(examples.images), examples.labels)
    line.images[:, 5:7, :] = 1  # a bar across
    assert not run(line, epochs=3)[0].reshape(12, 10, 3)[:4].any()
    assert run(line, epochs=3, rotation=90)[0].reshape(12, 10, 3)[:4].any()


def test_draws_cover_what_they_may() -> None:
    """Shifts take every value up to twice the largest shift, half are flipped, cutouts and rotations are uniform."""
    from artifacts.optimization.augmentation import draw

    draws = draw(Plan(**{**PLAIN, "batch": 10}, shift=2, flip=True), 5000, (0, 0, 0))
    assert set(draws.shifts.ravel()) == set(range(5))
    assert len(np.unique(draws.shifts[0], axis=0)) > 1
    assert draws.flips.mean() == pytest.approx(0.5, abs=0.03)
    assert np.histogram(draws.cutouts, 4, (0, 1))[0] == pytest.approx(2500, rel=0.1)
    assert np.histogram(draws.affine, 4, (-1, 1))[0] == pytest.approx(2500, rel=0.1)


def test_flips_alternate() -> None:
    """Every image is shown from one side in one epoch and from the other in the next."""
    from artifacts.optimization.augmentation import draw

    def sides(epoch: int) -> dict[int, bool]:
        draws = draw(Plan(**PLAIN, flip=True), 50, (3, epoch, 1), rows=70)
        return {
            int(row): bool(flip) for row, flip in zip(draws.order.ravel(), draws.flips.ravel(), strict=True) if row >= 0
        }

    first, second, third = (sides(epoch) for epoch in range(3))
    assert first == third
    assert first == {row: not flipped for row, flipped in second.items()}
    assert len(first) == 50


def test_chunks_train_like_their_images_would(examples: Images) -> None:
    """A stream in chunks of eight and two: all ten images, the chunks in turn, the steps as by hand."""
    from artifacts.optimization.augmentation import draw
    from artifacts.optimization.feed import Stream, size

    def read(rows: int) -> Any:
        return (Images(examples.images[i : i + rows], examples.labels[i : i + rows]) for i in range(0, 10, rows))

    stream = Stream(10, 9, read)  # nine is no multiple of the batch of four: chunks of eight
    first, second = (draw(Plan(**PLAIN), n, (0, 0, chunk)).order for chunk, n in enumerate((8, 2)))
    order = np.concatenate([first, np.where(second >= 0, second + 8, -1)])
    model, loop, _ = set_up(examples)
    loss, _, count = loop.epoch(feed(stream), (0, 0), 3)
    assert count == size(stream) == 10
    assert np.isfinite(loss)
    chunked = [draw(Plan(**PLAIN), n, (0, 0, chunk), rows=8).order for chunk, n in enumerate((8, 2))]
    assert (chunked[1][0] == second[0]).all()
    assert (chunked[1][1] < 0).all()
    np.testing.assert_allclose(model.get_weights()[0], by_hand(examples, order, lambda _: 0.5)[0], atol=1e-5)
    assert loop.measure(feed(stream)) == pytest.approx(loop.measure(feed(examples)), rel=1e-5)


def test_classes_count_alike_where_the_plan_balances_them(examples: Images) -> None:
    """A step's gradient is that of the losses weighted by one over the images of their class; the metrics, too."""
    from artifacts.optimization.loop import Loop, class_weights

    model, _, plan = set_up(examples, balance=1.0, batch=10)
    counts = np.bincount(examples.labels, minlength=3)
    loop = Loop(model, plan, 10, jit=False, class_counts=counts.tolist())
    _, accuracy, count = loop.epoch(feed(examples, 10), (0, 0), 1)
    weights = class_weights(counts.tolist(), 1.0)[examples.labels]
    assert weights.sum() == pytest.approx(10)
    assert [weights[examples.labels == label].sum() for label in range(3)] == pytest.approx([10 / 3] * 3)
    flat = examples.images.reshape(10, -1)
    error = (1 / 3 - np.eye(3)[examples.labels]) * weights[:, None] / 10
    np.testing.assert_allclose(model.get_weights()[0], -0.5 * flat.T @ error, atol=1e-5)
    assert (count, accuracy) == (10, pytest.approx(1 / 3))


@pytest.mark.parametrize(
    ("counts", "balance", "weights"),
    [
        ([10, 10], 1.0, [1, 1]),
        ([90, 10], 1.0, [5 / 9, 5]),
        ([90, 10], 0.0, [1, 1]),
        ([64, 16, 0], 0.5, [5 / 6, 5 / 3, 0]),
        ([0, 0], 1.0, [0, 0]),
    ],
)
def test_weights_of_classes(counts: list[int], balance: float, weights: list[float]) -> None:
    """One over the number of images, to the power that the plan says; on average 1; a class without images has none."""
    from artifacts.optimization.loop import class_weights

    assert class_weights(counts, balance).tolist() == pytest.approx(weights)


def test_of_what_is_known_some_is_left_out_and_the_rest_counts_more() -> None:
    """The hardest images are always there, and every image is expected to count as much as in a whole epoch."""
    from artifacts.optimization.augmentation import draw

    losses = np.random.default_rng(0).random(50, np.float32)
    hardest, total = set(np.argsort(-losses)[:10]), np.zeros(50)
    for seed in range(500):
        draws = draw(Plan(**PLAIN), 50, (seed, 1, 0), steps=8, losses=losses)
        order, weights = draws.order[:8].ravel(), draws.weights[:8].ravel()
        assert len({*order}) == 32
        assert hardest <= {*order}
        assert weights.mean() == pytest.approx(1, rel=1e-6)
        np.add.at(total, order, weights * 50 / 32 / 500)
    np.testing.assert_allclose(total, 1, atol=0.15)


@pytest.mark.parametrize("chunks", [None, 8], ids=["whole", "in chunks of eight"])
@pytest.mark.parametrize("jit", [False, True], ids=["without XLA", "with XLA"])
def test_images_are_left_out_by_their_losses(chunks: int | None, jit: bool) -> None:
    """Three epochs, the middle one on half of the images, give what NumPy gives: choice, weights, steps and losses."""
    from artifacts.optimization.augmentation import draw
    from artifacts.optimization.feed import Stream

    examples, plan = blobs(22), Plan(**{**PLAIN, "epochs": 3}, leave_out=0.5)
    flat, truth = examples.images.reshape(22, -1).astype(np.float64), np.eye(3)[examples.labels]
    kernel, bias, losses = np.zeros((flat.shape[1], 3)), np.zeros(3), np.zeros(22)
    # 22 images are six batches, three of them in the middle epoch: one, one and one, if they come in chunks of two
    parts = [(0, 22, 3)] if chunks is None else [(0, 8, 1), (8, 8, 1), (16, 6, 1)]
    lengths = []
    for epoch in range(3):
        lengths.append(0)
        for chunk, (first, n, half) in enumerate(parts):
            steps = half if epoch == 1 else -(-n // 4)
            known = losses[first : first + n].astype(np.float32)
            draws = draw(plan, n, (0, epoch, chunk), chunks, steps, known)
            lengths[-1] += steps
            for padded, counts in zip(draws.order[:steps], draws.weights[:steps], strict=True):
                rows, weights = padded[padded >= 0] + first, counts[padded >= 0]
                logits = flat[rows] @ kernel + bias
                probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                losses[rows] = -np.log(probabilities[truth[rows] == 1])
                error = (probabilities - truth[rows]) * (weights / weights.sum())[:, None]
                kernel, bias = kernel - 0.5 * flat[rows].T @ error, bias - 0.5 * error.sum(axis=0)

    def read(rows: int) -> Any:
        return (Images(examples.images[i : i + rows], examples.labels[i : i + rows]) for i in range(0, 22, rows))

    model, loop, _ = set_up(examples, jit=jit, epochs=3, leave_out=0.5)
    assert list(plan.lengths(22)) == lengths == [6, 3, 6]
    source = feed(Stream(22, chunks, read) if chunks else examples)
    seen = [loop.epoch(source, (0, epoch), length)[2] for epoch, length in enumerate(lengths)]
    assert seen == [22, 12, 22]
    np.testing.assert_allclose(model.get_weights()[0], kernel, atol=1e-5)
    np.testing.assert_allclose(loop.losses, losses, atol=1e-4)


def test_both_sides_of_an_image_are_averaged(examples: Images) -> None:
    """With `average_flips`, what is validated and kept gives an image and its mirror image the same logits."""
    from artifacts.models.saving import flip_averaged

    model, loop, _ = set_up(examples, average_flips=True)
    model.set_weights([np.random.default_rng(0).normal(size=weight.shape) for weight in model.get_weights()])
    mirrored = Images(np.ascontiguousarray(examples.images[:, :, ::-1]), examples.labels)
    assert loop.measure(feed(mirrored)) == pytest.approx(loop.measure(feed(examples)), rel=1e-5)
    kept = np.asarray(flip_averaged(model)(examples.images))
    by_hand = (np.asarray(model(examples.images)) + np.asarray(model(mirrored.images))) / 2
    np.testing.assert_allclose(kept, by_hand, atol=1e-5)
    log_probabilities = by_hand - np.log(np.exp(by_hand).sum(axis=1, keepdims=True))
    expected = -log_probabilities[np.arange(10), examples.labels].mean()
    assert loop.measure(feed(examples))[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_members_learn_as_if_alone_and_answer_together(examples: Images, optimizer: str) -> None:
    """Two nets side by side end where each ends alone; the mean of their logits is validated and kept."""
    from artifacts.optimization.loop import Loop
    from artifacts.training.ensemble import averaged, side_by_side

    switches: dict[str, Any] = {"optimizer": optimizer, "learning_rate": 0.1, "epochs": 2}
    rng = np.random.default_rng(0)
    starts = [[rng.normal(size=shape).astype(np.float32) for shape in ((120, 3), (3,))] for _ in range(2)]
    alone = [run(examples, start=start, **switches) for start in starts]
    build = side_by_side(recipes()["softmax-regression"].build, 2)
    model = build(DatasetInfo(12, 10, 3, 10), {})
    model.set_weights([*starts[0], *starts[1]])
    loop = Loop(model, Plan(**{**PLAIN, **switches}), 10, jit=False)
    for epoch in range(2):
        loop.epoch(feed(examples), (0, epoch), 3)
    for got, expected in zip(model.get_weights(), [*alone[0], *alone[1]], strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)

    flat = examples.images.reshape(10, -1)
    by_hand = np.mean([flat @ kernel + bias for kernel, bias in alone], axis=0)
    np.testing.assert_allclose(averaged(model)(examples.images), by_hand, atol=1e-4)
    log_probabilities = by_hand - np.log(np.exp(by_hand).sum(axis=1, keepdims=True))
    expected_loss = -log_probabilities[np.arange(10), examples.labels].mean()
    assert loop.measure(feed(examples))[0] == pytest.approx(expected_loss, rel=1e-3)


def test_the_average_over_the_weights_is_kept(examples: Images) -> None:
    """With `ema`, what is kept and validated is the decayed average over the weights after each step."""
    order = orders(10)
    after = [by_hand(examples, order[: step + 1], lambda _: 0.5)[0] for step in range(3)]
    average = 0.8 * (0.8 * after[0] + 0.2 * after[1]) + 0.2 * after[2]
    np.testing.assert_allclose(run(examples, ema=0.8)[0], average, atol=1e-5)

    model, loop, _ = set_up(examples, ema=0.8)
    loop.epoch(feed(examples), (0, 0), 3)
    validated = loop.measure(feed(examples))
    np.testing.assert_allclose(model.get_weights()[0], after[2], atol=1e-5)  # training goes on from the last weights
    loop.finish()
    assert loop.measure(feed(examples)) == pytest.approx(validated, rel=1e-5)


@pytest.mark.parametrize("jit", [False, True], ids=["without XLA", "with XLA"])
def test_the_backends_adam_is_keras_adam(examples: Images, jit: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six steps of a one-cycle schedule with decay and averaging end where Keras' own optimizer ends."""
    import keras

    from artifacts.backends.current import current

    switches: dict[str, Any] = {
        "optimizer": "adamw", "schedule": "triangular", "learning_rate": 0.05, "weight_decay": 0.1, "ema": 0.9,
    }  # fmt: skip
    ours = run(examples, epochs=2, jit=jit, **switches)
    monkeypatch.setattr(current(), "Adam", keras.optimizers.Adam)
    for got, expected in zip(ours, run(examples, epochs=2, jit=jit, **switches), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_adams_betas_matter(examples: Images) -> None:
    """Adam's first step is the rate whatever the betas; later ones are not, and AdamW decays beside them."""
    first = run(examples, optimizer="adam", learning_rate=0.01, steps=1)[0]
    np.testing.assert_allclose(np.abs(first[first != 0]).max(), 0.01, rtol=1e-3)
    slow = run(examples, epochs=2, optimizer="adam", learning_rate=0.01)[0]
    fast = run(examples, epochs=2, optimizer="adam", learning_rate=0.01, betas=(0.5, 0.6))[0]
    decayed = run(examples, epochs=2, optimizer="adamw", learning_rate=0.01, weight_decay=0.5)[0]
    assert np.abs(slow - fast).max() > 1e-4
    assert np.abs(slow - decayed).max() > 1e-4


def muon_steps(examples: Images, epochs: int = 1, members: int = 1, **switches: Any) -> list[npt.NDArray[np.float32]]:
    """Train a net with a convolution, a hidden layer and logits by Muon and return how far each kernel moved."""
    import keras
    from keras import layers

    from artifacts.optimization.loop import Loop
    from artifacts.training.ensemble import side_by_side

    keras.utils.set_random_seed(0)
    shape = examples.images.shape[1:]

    def build(*_: Any) -> Any:
        hidden = [layers.Reshape((*shape, 1)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5)]
        return keras.Sequential([layers.Input(shape), *hidden, layers.Dense(3)])

    model = side_by_side(build, members)(DatasetInfo(*shape, 3, len(examples.labels)), {})
    before = [kernel for kernel in model.get_weights() if kernel.ndim > 1]
    plan = Plan(**{**PLAIN, "optimizer": "muon", "learning_rate": 0.01, "batch": len(examples.labels), **switches})
    loop = Loop(model, plan, len(examples.labels), jit=False)
    for epoch in range(epochs):
        loop.epoch(feed(examples, plan.batch), (0, epoch), 1)
    after = [kernel for kernel in model.get_weights() if kernel.ndim > 1]
    return [new - old for new, old in zip(after, before, strict=True)]


def test_muon_moves_kernels_alike_in_all_directions(examples: Images) -> None:
    """A step's singular values are nearly equal, for convolutions too; the kernel of the logits moves as Adam does."""
    convolution, dense, logits = muon_steps(examples)
    for step in (convolution.reshape(9, 4), dense):
        values = np.linalg.svd(step, compute_uv=False) / (0.01 * 0.2 * max(step.shape) ** 0.5)
        learned = values[values > 1e-3]  # three classes give a hidden layer two directions
        assert len(learned) >= 2
        assert 0.4 < learned.min() < learned.max() < 1.3
    for step in (logits, *muon_steps(examples, members=2)[2::3]):
        moved = np.abs(step[step != 0])
        np.testing.assert_allclose(moved, 0.4 * 0.01, rtol=1e-2)  # Adam's first step is its rate, whatever the gradient


@pytest.mark.parametrize("shape", [(30, 4), (4, 30), (5, 5)])
def test_muons_iteration_is_newtons_and_schulz(shape: tuple[int, int]) -> None:
    """Run on products of the shorter side alone, it gives what the iteration on the whole matrix gives."""
    from artifacts.optimization.muon import COEFFICIENTS, orthogonal

    matrix = np.random.default_rng(0).normal(size=shape)
    expected, (a, b, c) = matrix / np.linalg.norm(matrix), COEFFICIENTS
    for _ in range(3):
        square = expected @ expected.T
        expected = a * expected + (b * square + c * square @ square) @ expected
    np.testing.assert_allclose(np.asarray(orthogonal(matrix.astype(np.float32))), expected, atol=1e-5)
    assert not np.asarray(orthogonal(np.zeros(shape, np.float32))).any()  # no gradient, no step


def test_muons_momentum_matters(examples: Images) -> None:
    """The first step does not depend on the momentum; the second does."""
    for epochs, differ in ((1, False), (4, True)):
        slow, fast = (muon_steps(examples, epochs, momentum=momentum, learning_rate=0.1)[1] for momentum in (0.9, 0.1))
        assert (np.abs(slow - fast).max() > 1e-3) == differ


def test_a_hand_written_step_is_the_same_mathematics() -> None:
    """The scratch recipe's chain rule gives the weights that automatic differentiation gives, padding included."""
    import keras

    from artifacts.optimization.loop import Loop

    examples = blobs(300)
    recipe = recipes()["scratch-512"]
    settings = {**recipe.resolve({}), "hidden": 16, "learning_rate": 0.1}
    info = DatasetInfo(12, 10, 3, 300)
    by_rule = recipe.plan(info, settings)
    automatic = Plan(epochs=1, batch=128, optimizer="sgd", learning_rate=0.1)
    results = []
    start = None
    keras.utils.set_random_seed(0)
    for plan in (by_rule, automatic):
        model = recipe.build(info, settings)
        start = start or model.get_weights()
        model.set_weights(start)
        Loop(model, plan, len(examples.labels), jit=False).epoch(feed(examples, 128), (0, 0), 3)
        results.append(model.get_weights())
    for ours, theirs, before in zip(*results, start or [], strict=True):
        assert np.abs(ours - before).max() > 1e-3
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_sigmoid_is_not_looked_behind() -> None:
    """The loss takes what a network gives, also where Keras would guess: a loss on sigmoid outputs stays high."""
    from artifacts.recipes.candidate import Candidate
    from artifacts.training.fit import fit

    examples = blobs(200)
    info = DatasetInfo(12, 10, 3, 200)
    losses = {
        side: fit(examples, examples, info, Candidate.parse(f"sigmoid-regression:epochs=30,logits={side}"))
        .history[-1]
        .val_loss
        for side in ("input", "output")
    }
    lowest = -np.log(np.e / (np.e + 2))  # one output at 1, two at 0
    assert losses["output"] > lowest
    assert losses["input"] < lowest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 clzero\n", "avx512_bf16"),
        ("flags\t\t: amx_bf16 avx512_bf16 amx_tile\nflags\t\t: amx_bf16 avx512_bf16\n", "amx_bf16 avx512_bf16"),
        ("flags\t\t: fpu avx2 notavx512_bf16x\n", ""),
    ],
)
def test_bfloat16_where_the_processor_has_it(tmp_path: Path, text: str, expected: str) -> None:
    """The rule reads what the processor says about itself, and float32 is the answer where it says nothing."""
    from artifacts.training.devices import bfloat16_instructions

    (tmp_path / "cpuinfo").write_text(text)
    assert bfloat16_instructions(tmp_path / "cpuinfo") == expected
    assert bfloat16_instructions(tmp_path / "absent") == ""


def test_the_rules_for_xla_and_precision_are_stated() -> None:
    """On a CPU only dense nets train as one XLA program, and bfloat16 is for conv nets that gain by it: recorded."""
    from artifacts.backends.current import current
    from artifacts.training.devices import bfloat16_instructions, choose

    gains = current().BFLOAT16_ON_CPU and bfloat16_instructions()
    dense, conv = choose(recipes()["mlp"], "cpu"), choose(recipes()["cnn"], "cpu")
    assert dense.backend == conv.backend == current().NAME
    assert (dense.jit, dense.precision) == (True, "float32")
    assert (conv.jit, conv.precision) == (False, "mixed_bfloat16" if gains else "float32")
    assert all((dense.jit_rule, dense.precision_rule, conv.jit_rule, conv.precision_rule))


def test_on_a_gpu_what_can_be_one_xla_program_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dense nets on both backends, conv nets on JAX; bfloat16 from compute capability 8 on."""
    from artifacts.backends import protocol
    from artifacts.backends.current import current
    from artifacts.training.devices import choose

    below = current()
    monkeypatch.setattr(below, "gpus", lambda: [protocol.Gpu("a GPU", (9, 0))])
    dense, conv = choose(recipes()["mlp"]), choose(recipes()["cnn"])
    assert (dense.name, dense.jit, dense.precision) == ("gpu:0", True, "float32")
    assert (conv.name, conv.jit, conv.precision) == ("gpu:0", below.NAME == "jax", "mixed_bfloat16")
    assert all((dense.jit_rule, conv.jit_rule))
    monkeypatch.setattr(below, "gpus", lambda: [protocol.Gpu("an old GPU", (7, 5))])
    assert choose(recipes()["cnn"]).precision == "float32"


def test_why_conv_nets_are_no_xla_program_on_a_gpu() -> None:
    """TensorFlow's XLA has no deterministic gradient of a max pool. Once this fails, CONV_ON_GPU may go."""
    from artifacts.backends.current import current
    from artifacts.optimization.loop import Loop

    below, examples = current(), blobs(8)
    below.deterministic()
    plan = Plan(epochs=1, batch=4, optimizer="sgd", learning_rate=0.1)
    recipe = recipes()["cnn-small"]
    loop = Loop(recipe.build(DatasetInfo(12, 10, 3, 8), recipe.resolve({})), plan, 8, jit=True)
    refused = pytest.raises(Exception, match="MaxPool gradient") if below.CONV_ON_GPU else contextlib.nullcontext()
    with refused:
        loop.epoch(feed(examples), (0, 0), 2)


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras on a third backend would build layers that this loop cannot train: refused before anything is built."""
    import keras

    from artifacts.training.devices import choose
    from data.errors import TrainingFailed

    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(TrainingFailed, match="got torch"):
        choose(recipes()["mlp"], "cpu")


@pytest.mark.parametrize("jit", [False, True], ids=["without XLA", "with XLA"])
def test_it_is_what_fit_does(jit: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same net from the same weights in the same order with Adam ends where Keras' own `fit` ends."""
    import keras

    from artifacts.optimization import loop as module
    from artifacts.optimization.augmentation import Draws
    from artifacts.optimization.loop import Loop
    from artifacts.optimization.schedules import optimizer

    examples = blobs(300)
    order = np.append(np.arange(300), [-1] * 20).astype(np.int32).reshape(10, 32)  # the last batch has 12 images
    pairs = np.zeros((10, 32, 2), np.float32)
    ones, shifts, flips = np.ones((10, 32), np.float32), pairs.astype(np.int32), np.zeros((10, 32), bool)
    in_order = Draws(order, ones, shifts, flips, cutouts=pairs, affine=pairs)
    monkeypatch.setattr(module, "draw", lambda *_, **__: in_order)
    recipe = recipes()["mlp-128"]
    info = DatasetInfo(12, 10, 3, 300)
    plan = recipe.plan(info, recipe.resolve({}))
    keras.utils.set_random_seed(0)  # now and then a start has a gradient near zero, where Adam's step is rounding
    theirs, ours = recipe.build(info, {}), recipe.build(info, {})
    ours.set_weights(theirs.get_weights())
    theirs.compile(
        optimizer(plan, 30, keras.optimizers.Adam), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    theirs.fit(examples.images, examples.labels, batch_size=32, epochs=3, shuffle=False, verbose=0)
    loop = Loop(ours, plan, 300, jit)
    for epoch in range(3):
        loop.epoch(feed(examples, 32), (0, epoch), 10)
    for left, right in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5)
