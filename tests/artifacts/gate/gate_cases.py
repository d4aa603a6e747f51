"""One night for every message of the gate, made of plain arrays: what the tests ask, and what the runbook shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from artifacts.gate.evidence import Champion, Evidence, Growing, Grown, Labels, Look, Scored, pack
from artifacts.gate.growing.answers import prefixes
from artifacts.gate.judge import judge
from artifacts.gate.policy import Policy, policy_for

N = 10_000
NAMES = tuple("0123456789")
LABELS: Labels = np.arange(N) % 10
CHAMPION_WRONG = range(58)  # 99.42 % right
MEASURED = {
    "megabytes": 1.2,
    "latency_ms": 3.4,
    "robustness": {"shifted": 0.81, "noisy": 0.98, "rotated": 0.97},
}


def answers(wrong: Sequence[int], labels: Labels = LABELS) -> Labels:
    """Predictions, int64 of the labels' shape, that are wrong on these images alone."""
    predicted = labels.copy()
    predicted[list(wrong)] = (labels[list(wrong)] + 1) % 10
    return predicted


def wrong(gained: int, lost: int, start: int = 1000) -> list[int]:
    """Where a model errs that gains and loses so many images against the champion; `start` is the first lost one."""
    return [*CHAMPION_WRONG[gained:], *range(start, start + lost)]


def right(gained: int, lost: int, start: int = 1000) -> str:
    """The same as the ledger keeps it."""
    return pack(answers(wrong(gained, lost, start)) == LABELS)


def candidate(gained: int, lost: int, **changes: Any) -> Scored:
    """A model that gains and loses so many images against the champion."""
    return Scored("cnn-seed1", answers(wrong(gained, lost)), **{**MEASURED, **changes})


CHAMPION = Champion("mnist/3", answers(CHAMPION_WRONG), NAMES, "test-set-1")
EVIDENCE = Evidence(
    dataset="mnist",
    labels=LABELS,
    class_names=NAMES,
    n_expected=N,
    test_digest="test-set-1",
    when="2026-11-20",
    candidate=candidate(31, 12),
    recipe="cnn, as it was",
    champion=CHAMPION,
)
LOOK = Look("2026-11-19", "test-set-1", "mnist/3", "cnn, as it was", (right(18, 9, 2000),), 0.05, 0.0055)
POLICY = policy_for("mnist")


@dataclass(frozen=True, eq=False)
class Night:
    """What the gate is asked, and the verdict and rule that it must give.

    Args:
        title: what happened, for the runbook.
    """

    title: str
    verdict: str
    rule: str
    evidence: Evidence
    policy: Policy = POLICY
    how: Mapping[str, Any] = field(default_factory=dict)

    def printed(self) -> str:
        """What the gate prints."""
        return str(judge(self.evidence, self.policy, **self.how))


def _with(**changes: Any) -> Evidence:
    return replace(EVIDENCE, **changes)


def _champion(**changes: Any) -> Evidence:
    return _with(champion=replace(CHAMPION, **changes))


# a test set as small as scikit-learn's digits: no gain below 9 of 360 images can be shown by one model
SMALL: Labels = np.arange(360) % 10
SMALL_POLICY = policy_for("digits", (36,) * 10)


def small(errors: int, champion: int | None = 6, **changes: Any) -> Evidence:
    """A night on 360 images: the candidate gets the last `errors` wrong, the champion the first `champion`."""
    answered = answers(range(360 - errors, 360), SMALL)
    theirs = None if champion is None else Champion("digits/1", answers(range(champion), SMALL), NAMES, "test-set-1")
    scored = Scored("cnn-seed0", answered, **MEASURED)
    evidence = _with(dataset="digits", labels=SMALL, n_expected=360, candidate=scored, champion=theirs)
    return replace(evidence, **changes)


def growing(n: int, lineage: str = "mnist, growing") -> Growing:
    """The first n images of a test set to which images are added."""
    identities = np.zeros((n, 32), np.uint8)
    identities[:, :8] = np.arange(n, dtype=np.int64)[:, None].view(np.uint8)
    return Growing(lineage, identities)


def grown(look: Look, n: int, **changes: Any) -> Look:
    """The look at the first n images of that test set."""
    now = growing(n)
    return replace(look, grown=Grown(now.lineage, n, prefixes(now.items, [n])[n], len(look.rights)), **changes)


# 400 images arrived in the last four nights: where 40 sevens look different from all that the champion has seen
LARGER: Labels = np.concatenate([LABELS, LABELS[:400]])
CHANGED = range(N + 7, N + 400, 10)


def after_a_change(known: int, **changes: Any) -> Evidence:
    """A night on which the candidate knows so many of the changed images, and the champion none."""
    champion = Champion("mnist/3", answers([*CHAMPION_WRONG, *CHANGED], LARGER), NAMES, "test-set-1")
    scored = Scored("cnn-seed1", answers([*wrong(24, 15), *CHANGED[known:]], LARGER), **MEASURED)
    looks = (grown(replace(LOOK, when="2026-11-16"), N),)
    evidence = _with(labels=LARGER, n_expected=N + 400, candidate=scored, champion=champion, looks=looks)
    return replace(evidence, growing=growing(N + 400), test_digest="test-set-2", **changes)


def _grown_better() -> Evidence:
    """100 images were added tonight, and models of three nights are better on those that were there before."""
    looks = (
        grown(replace(LOOK, when="2026-11-18", rights=(right(25, 8, 3000),), spent=0.003), N),
        grown(replace(LOOK, rights=(right(24, 11, 4000),), spent=0.004), N),
    )
    labels = LARGER[: N + 100]
    scored = Scored("cnn-seed1", answers(wrong(22, 10), labels), **MEASURED)
    champion = Champion("mnist/3", answers(CHAMPION_WRONG, labels), NAMES, "test-set-1")
    evidence = _with(labels=labels, n_expected=N + 100, candidate=scored, champion=champion, looks=looks)
    return replace(evidence, growing=growing(N + 100), test_digest="test-set-2")


# the champion has never seen a nine
def without_nines(nines_right: int, gained: int = 15, lost: int = 17, **changes: Any) -> Evidence:
    """A night on which nine is a new class, of whose 1,000 images the candidate gets so many right."""
    nines = range(9, N, 10)
    mistakes = [*wrong(gained, lost, 1000), *nines[nines_right:]]
    champion = Champion("mnist/3", np.minimum(answers(CHAMPION_WRONG), 8), NAMES[:9], "test-set-1")
    scored = Scored("cnn-seed1", answers(mistakes), **MEASURED)
    return _with(candidate=scored, champion=champion, **changes)


FORCE = {"mode": "force", "force_reason": "the champion mistakes the new scanner's sevens"}
NIGHTS = (
    Night("better", "PROMOTE", "better", EVIDENCE),
    Night(
        "better, by the evidence of several models",
        "PROMOTE",
        "better",
        _with(
            candidate=candidate(22, 10),
            siblings=(answers(wrong(25, 8, 3000)),),
            looks=(LOOK, replace(LOOK, when="2026-11-19", rights=(right(24, 11, 4000),), spent=0.0108)),
        ),
    ),
    Night("not better enough", "HOLD", "inside-noise", _with(candidate=candidate(24, 15))),
    Night("no better at all", "HOLD", "inside-noise", _with(candidate=candidate(15, 24))),
    Night("too few differences to tell", "HOLD", "inside-noise", _with(candidate=candidate(4, 1))),
    Night(
        "better as a recipe, but not this model",
        "HOLD",
        "behind",
        _with(candidate=candidate(16, 17), siblings=tuple(answers(wrong(36, 4, 2000 + 100 * k)) for k in range(3))),
    ),
    Night("the same right and wrong answers", "HOLD", "identical", _with(candidate=candidate(0, 0))),
    Night("worse", "REJECT", "worse", _with(candidate=candidate(12, 31))),
    Night("too many images lost", "REJECT", "negative-flips", _with(candidate=candidate(58, 101))),
    Night(
        "too many images of one class lost",
        "REJECT",
        "negative-flips",
        _with(candidate=Scored("cnn-seed1", answers([*range(1007, 1317, 10)]), **MEASURED)),
    ),
    Night(
        "not worse, where that is the policy",
        "PROMOTE",
        "not-worse",
        _with(candidate=candidate(15, 17)),
        replace(POLICY, promote_when="not-worse"),
    ),
    Night(
        "perhaps worse, where not worse is the policy",
        "HOLD",
        "inside-noise",
        _with(candidate=candidate(12, 27)),
        replace(POLICY, promote_when="not-worse"),
    ),
    Night(
        "ahead, where that is the policy",
        "PROMOTE",
        "ahead",
        small(1),
        SMALL_POLICY,
    ),
    Night(
        "not ahead, where ahead is the policy",
        "HOLD",
        "inside-noise",
        small(6),
        SMALL_POLICY,
    ),
    Night(
        "too few errors to be beaten by one model",
        "HOLD",
        "inside-noise",
        small(0),
        replace(SMALL_POLICY, promote_when="better"),
    ),
    Night("first night", "PROMOTE", "first-night", _with(champion=None)),
    Night("first night on a small test set", "PROMOTE", "first-night", small(6, None), SMALL_POLICY),
    Night(
        "first night on a small test set, where better is the policy",
        "PROMOTE",
        "first-night",
        small(0, None),
        replace(SMALL_POLICY, promote_when="better"),
    ),
    Night(
        "a class has no test images",
        "PROMOTE",
        "first-night",
        _with(class_names=(*NAMES, "ten"), champion=None),
    ),
    Night(
        "the test set has changed",
        "PROMOTE",
        "better",
        _with(test_digest="test-set-2", looks=(LOOK,)),
    ),
    Night("the test set has grown, and the recipe is better", "PROMOTE", "better", _grown_better()),
    Night("the world has changed", "PROMOTE", "better-recently", after_a_change(40)),
    Night("the world has changed, and nobody knows it yet", "HOLD", "inside-noise", after_a_change(5)),
    Night("a class was added, and the candidate knows it", "PROMOTE", "new-class", without_nines(985)),
    Night(
        "a class was added, and the candidate does not know it yet",
        "HOLD",
        "new-class-pending",
        without_nines(430),
        replace(POLICY, min_recall=0.1, min_accuracy=0.9),
    ),
    Night(
        "a class was added, and the candidate may be worse at the others",
        "HOLD",
        "new-class-pending",
        without_nines(985, 12, 40),
    ),
    Night(
        "the classes have changed",
        "HOLD",
        "changed-classes",
        _champion(class_names=("nought", *NAMES[1:9], "nine", "x")),
    ),
    Night("the classes are in another order", "HOLD", "changed-classes", _champion(class_names=NAMES[::-1])),
    Night("the champion is missing", "HOLD", "champion-unreadable", _champion(predicted=None, state="missing")),
    Night(
        "the champion is corrupt",
        "HOLD",
        "champion-unreadable",
        _champion(predicted=None, state="corrupt", problem="model.keras has changed since it was written"),
    ),
    Night(
        "the champion cannot be loaded",
        "HOLD",
        "champion-unreadable",
        _champion(
            predicted=None,
            state="unloadable",
            problem="model.keras is as it was written, but Keras 3.16.0 cannot load it",
        ),
    ),
    Night(
        "the champion takes images of another size",
        "HOLD",
        "champion-unreadable",
        _champion(predicted=None, state="unfit", problem="it takes images of 12×12, tonight's have 28×28"),
    ),
    Night(
        "the champion did not answer every image",
        "HOLD",
        "champion-unreadable",
        _champion(predicted=CHAMPION.predicted[:9984] if CHAMPION.predicted is not None else None),
    ),
    Night("the weights were rolled back from", "HOLD", "barred", _with(barred="mnist/2")),
    Night("the year's budget is spent", "HOLD", "budget", _with(looks=(replace(LOOK, recipe="other", spent=0.1),))),
    Night(
        "an image was not scored",
        "REJECT",
        "n-examples",
        _with(candidate=replace(candidate(31, 12), predicted=LABELS[:9984])),
    ),
    Night("a probability is not a number", "REJECT", "not-finite", _with(candidate=candidate(31, 12, finite=False))),
    Night(
        "requirements are not met",
        "REJECT",
        "floor",
        _with(candidate=Scored("tiny-seed1", answers(range(3, 3000, 10)), megabytes=120.0, robustness={"noisy": 0.91})),
    ),
    Night(
        "requirements of many classes are not met",
        "REJECT",
        "floor",
        _with(
            labels=np.arange(N) % 256,
            candidate=Scored("tiny-seed1", np.zeros(N, np.int64), **MEASURED),
            class_names=tuple(map(str, range(256))),
            champion=replace(CHAMPION, class_names=tuple(map(str, range(256)))),
        ),
    ),
    Night("forced", "PROMOTE", "forced", _with(candidate=candidate(12, 31)), how=FORCE),
    Night(
        "forced, with a champion that cannot be read",
        "PROMOTE",
        "forced",
        _champion(predicted=None, state="corrupt"),
        how=FORCE,
    ),
    Night(
        "forced, but a requirement is not met",
        "REJECT",
        "floor",
        _with(candidate=candidate(31, 12, megabytes=120.0)),
        how=FORCE,
    ),
    Night("a dry run", "PROMOTE", "better", EVIDENCE, how={"mode": "dry-run"}),
)
