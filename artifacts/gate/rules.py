"""The gate's rules, in order, each with its message; the first that applies decides. The table is at the bottom.

A rule is a function of the case. It returns None if it does not apply, otherwise two sentences without a full stop:
the reason, and what would have changed the verdict.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from artifacts.evaluation.numbers import exact_percent, points
from artifacts.gate.classes import KNOWN, NewClass
from artifacts.gate.decision import Budget, Check, Mode, Paired, Recent, Share, Verdict, p_text
from artifacts.gate.evidence import Champion, Evidence, Look
from artifacts.gate.paired_tests import fewest_gained, models_needed
from artifacts.gate.policy import MEASURABLE, Policy

Sentences = tuple[str, str]
LISTED = 6  # failed requirements, classes: the report has them all


@dataclass(frozen=True, eq=False)
class Case:
    """The evidence with everything computed that the rules need; what follows `checks` is empty without a comparison.

    Where classes were added since the champion was trained, the comparison is on the images of the others, and
    `on_known` is the candidate on these.
    """

    evidence: Evidence
    policy: Policy
    mode: Mode
    force_reason: str
    candidate: Share
    checks: tuple[Check, ...]
    champion: Share | None = None
    paired: Paired | None = None
    budget: Budget | None = None
    look: Look | None = None
    new_classes: tuple[NewClass, ...] = ()
    on_known: Share | None = None


# -- can the candidate be judged at all? ------------------------------------------------------------------------------


def n_examples(case: Case) -> Sentences | None:
    """Not every test image was scored, or their number differs from the catalogue's."""
    evidence = case.evidence
    if evidence.candidate.predicted.shape == evidence.labels.shape == (evidence.n_expected,):
        return None
    return (
        f"{evidence.candidate.name} has {evidence.candidate.predicted.size:,} predictions for {evidence.labels.size:,} "
        f"labels, but {evidence.dataset} has {evidence.n_expected:,} test images",
        "an evaluation of every test image",
    )


def not_finite(case: Case) -> Sentences | None:
    """A probability is NaN or infinite, so the predicted class means nothing."""
    if case.evidence.candidate.finite:
        return None
    return (
        f"{case.candidate.name} predicts probabilities that are NaN or infinite",
        "a model whose probabilities are all finite",
    )


def floor(case: Case) -> Sentences | None:
    """A requirement is not met; `force` does not override it."""
    failed = [check for check in case.checks if not check.passed]
    if not failed:
        return None
    return (
        f"{case.candidate.name} fails {len(failed)} of {len(case.checks)} requirements: {few(failed, '; ')}",
        "a model that meets them, or another policy (force does not override requirements)",
    )


# -- can it be compared with the champion? ----------------------------------------------------------------------------


def first_night(case: Case) -> Sentences | None:
    """There has never been a champion: the requirements alone decide."""
    if case.evidence.champion is not None:
        return None
    return (
        f"{case.candidate} on {case.candidate.n:,} images meets all {len(case.checks)} requirements, and "
        f"{case.evidence.dataset} has no champion to compare with",
        "a requirement that is not met",
    )


def forced(case: Case) -> Sentences | None:
    """A person forced the promotion with a reason; the comparison is shown but does not decide."""
    if case.mode != "force":
        return None
    return (
        f"{_against(case) if case.paired else case.candidate}; forced, reason: {case.force_reason}",
        "a requirement that is not met; force overrides everything else",
    )


def barred(case: Case) -> Sentences | None:
    """Exactly these weights were rolled back from."""
    if not case.evidence.barred:
        return None
    return (
        f"{case.candidate.name} has the weights of {case.evidence.barred}, which was rolled back from and is barred",
        f"lifting the bar on {case.evidence.barred}, other weights, or force with a reason",
    )


def champion_unreadable(case: Case) -> Sentences | None:
    """The champion is missing, corrupt, unloadable, unfit, or did not classify every image: a person must look."""
    champion = _champion(case)
    if champion.predicted is not None:
        if champion.predicted.shape == case.evidence.labels.shape:
            return None
        state = f"classified {champion.predicted.size:,} of {case.evidence.labels.size:,} images"
    else:
        states = {"unloadable": "cannot be loaded", "unfit": "does not fit tonight's images"}
        state = states.get(champion.state, f"is {champion.state}")
        state += f" ({champion.problem})" if champion.problem else ""
    return (
        f"the champion {champion.version} {state}, and nothing is promoted without a comparison",
        "a rollback to a version that loads ('nightshift verify --load' tries them), or force with a reason",
    )


def changed_classes(case: Case) -> Sentences | None:
    """Classes of the champion are gone, renamed or in another order: a person must decide."""
    champion, names = _champion(case), case.evidence.class_names
    if champion.class_names == names or case.new_classes:
        return None
    gone = few([name for name in champion.class_names if name not in set(names)])
    new = few([name for name in names if name not in set(champion.class_names)])
    what = f"gone: {gone or 'none'}; new: {new or 'none'}" if gone or new else "in another order"
    return (
        f"the champion {champion.version} has {len(champion.class_names)} classes and {case.evidence.dataset} has "
        f"{len(names)} ({what}), so the two cannot be compared",
        "force with a reason, once everyone who uses the predictions is ready for the new classes",
    )


# -- the comparison ---------------------------------------------------------------------------------------------------


def negative_flips(case: Case) -> Sentences | None:
    """The candidate loses too many images that the champion gets right, in total or in one class."""
    paired, policy, names, n = _paired(case), case.policy, case.evidence.class_names, _compared(case).n
    support = np.bincount(case.evidence.labels, minlength=len(names)).tolist()
    broken = [
        f"{lost:,} of {images:,} in class {name}, at most {exact_percent(policy.max_lost_per_class)} allowed"
        for name, lost, images in zip(names, paired.lost_per_class, support, strict=True)
        if lost > _allowed(policy.max_lost_per_class, images)
    ]
    if paired.lost > _allowed(policy.max_lost, n):
        broken.insert(0, f"{paired.lost:,} of {n:,}, at most {exact_percent(policy.max_lost)} allowed")
    if not broken:
        return None
    return f"{_against(case)}; too many images lost: {few(broken, '; ')}", "fewer lost images, or force with a reason"


def new_class(case: Case) -> Sentences | None:
    """The candidate knows the classes that were added, and on those that both know a loss of the margin is ruled out.

    The champion cannot know a new class, and a candidate that knows it need not be better at the others.
    """
    if not case.new_classes or not all(one.known for one in case.new_classes) or not _loss_ruled_out(case):
        return None
    reason = f"{_against(case)}; {_ruled_out(case)}; {_new(case.new_classes)}"
    return reason, "more lost images, or fewer right answers in a new class"


def new_class_pending(case: Case) -> Sentences | None:
    """Classes were added, and the candidate does not know them yet, or may be worse at the others."""
    if not case.new_classes:
        return None
    unknown = [one for one in case.new_classes if not one.known]
    if unknown:
        needed = f"needed are {MEASURABLE} test images of each, and {exact_percent(KNOWN)} of them right"
        return f"{_new(unknown)}; {needed}", "more images of the new classes, or force with a reason"
    return f"{_against(case)}; {_new(case.new_classes)}", _short_of(case)


def identical(case: Case) -> Sentences | None:
    """Right and wrong on exactly the same images as the champion."""
    if _paired(case).gained or _paired(case).lost:
        return None
    return f"{_against(case)}: the same images right and wrong", "a model that differs: another seed, recipe or data"


def not_worse(case: Case) -> Sentences | None:
    """The policy promotes what is not worse, and a loss of the margin or more is ruled out."""
    if case.policy.promote_when != "not-worse" or not _loss_ruled_out(case):
        return None
    return f"{_against(case)}; {_ruled_out(case)}", "more lost images, or a smaller margin"


def ahead(case: Case) -> Sentences | None:
    """The policy promotes what has more right answers, and a loss of the margin or more is ruled out.

    Each such promotion takes at least one error from the champion, so the champion's score on these images never falls.
    """
    paired = _paired(case)
    if case.policy.promote_when != "ahead" or paired.gained <= paired.lost or not _loss_ruled_out(case):
        return None
    return f"{_against(case)}; {_ruled_out(case)}", "no more right answers than the champion's, or a smaller margin"


def worse(case: Case) -> Sentences | None:
    """Significantly fewer correct answers than the champion."""
    paired, level = _paired(case), case.policy.worse_level
    if paired.lost <= paired.gained or paired.p_tonight > level:
        return None
    return (
        f"{_against(case)}, worse beyond the noise, p = {p_text(paired.p_tonight)} <= {p_text(level)}",
        f"{paired.lost - paired.gained:,} more correct answers for a tie",
    )


def better_recently(case: Case) -> Sentences | None:
    """On recent images the recipe is better than the champion, beyond the noise: the world has changed."""
    recent = _paired(case).recent
    if recent is None or not _shown(recent) or recent.gained < recent.lost:
        return None
    assert recent.pooled.detectable is not None  # this gain is significant, so a gain can be
    reason = f"{_against(case)}; on the {_recently(recent)}"
    return reason, f"a gain below {points(recent.pooled.detectable)} on these recent images"


def budget(case: Case) -> Sentences | None:
    """This year's error budget for this test set is spent."""
    paired, spending = _paired(case), _spending(case)
    if paired.level > 0 or not paired.pooled.models:
        return None
    return (
        f"{_against(case)}; {spending.looks:,} looks at this test set within a year have spent "
        f"{spending.used:.4f} of the {spending.allowed:.4g} false promotions allowed, "
        "and this one would spend more than is left",
        "waiting (looks expire after a year), a new test set, or force with a reason",
    )


def behind(case: Case) -> Sentences | None:
    """The recipe is better than the champion, but the model that would be registered is not."""
    paired = _paired(case)
    if not _shown(paired) or paired.gained >= paired.lost:
        return None
    reason = f"{_against(case)}{_over(paired)}: the recipe is better, tonight's model is not"
    return reason, "a seed whose model is not behind"


def better(case: Case) -> Sentences | None:
    """The recipe is better than the champion, beyond the sampling noise of a year of looks."""
    paired = _paired(case)
    if not _shown(paired):
        return None
    assert paired.pooled.detectable is not None  # this gain is significant, so a gain can be
    return f"{_against(case)}{_over(paired)}", f"a gain below {points(paired.pooled.detectable)}"


def inside_noise(case: Case) -> Sentences:
    """No other rule applies: the difference is within the noise."""
    paired, pooled = _paired(case), _paired(case).pooled
    if pooled.detectable is None:
        change = f"more discordant images: {paired.gained + paired.lost} are too few to show any gain{_frozen(case)}"
    else:
        change = f"a gain of {points(pooled.detectable)} instead of {points(pooled.gain)}"
        look = _look(case)
        needed = None if look.grown else models_needed(look.allotted, pooled.gain, pooled.resolution)
        if needed:
            change += f", or this gain over {needed} models of the recipe instead of {pooled.models}"
    if case.policy.promote_when == "not-worse":
        change += f"; or {_short_of(case)}"
    if case.policy.promote_when == "ahead":
        change = _short_of(case) if pooled.detectable is None else f"{_short_of(case)}; or {change}"
    recently = f"; on the {_recently(paired.recent)}" if paired.recent else ""
    return f"{_against(case)}{_over(paired)}{recently}: within the noise", change


RULES: tuple[tuple[Verdict, str, Callable[[Case], Sentences | None]], ...] = (
    ("REJECT", "n-examples", n_examples),
    ("REJECT", "not-finite", not_finite),
    ("REJECT", "floor", floor),
    ("PROMOTE", "first-night", first_night),
    ("PROMOTE", "forced", forced),
    ("HOLD", "barred", barred),
    ("HOLD", "champion-unreadable", champion_unreadable),
    ("HOLD", "changed-classes", changed_classes),
    ("REJECT", "negative-flips", negative_flips),
    ("PROMOTE", "new-class", new_class),
    ("HOLD", "new-class-pending", new_class_pending),
    ("HOLD", "identical", identical),
    ("PROMOTE", "not-worse", not_worse),
    ("PROMOTE", "ahead", ahead),
    ("REJECT", "worse", worse),
    ("PROMOTE", "better-recently", better_recently),
    ("HOLD", "budget", budget),
    ("HOLD", "behind", behind),
    ("PROMOTE", "better", better),
    ("HOLD", "inside-noise", inside_noise),
)


# -- wording ----------------------------------------------------------------------------------------------------------


def _against(case: Case) -> str:
    paired, compared = _paired(case), _compared(case)
    images = f"{compared.n:,} images{' of the classes that both know' if case.new_classes else ''}"
    return (
        f"{compared} against {case.champion} of {_champion(case).version} on the same {images}: "
        f"{paired.gained:,} gained, {paired.lost:,} lost"
    )


def _over(paired: Paired) -> str:
    pooled, on = paired.pooled, ""
    if paired.pooled_images:
        on = f" on the {paired.pooled_images:,} images that the champion was first compared on"
    if pooled.models == 1:
        return f"{on and ','}{on}, {_test(paired)}"
    return f"; over {pooled.models} models of this recipe a mean gain of {points(pooled.gain)}{on}, {_test(paired)}"


def _recently(recent: Recent) -> str:
    """Return what the window of recent images shows."""
    pooled, nights = recent.pooled, "night" if recent.nights == 1 else f"{recent.nights} nights"
    models = "1 model" if pooled.models == 1 else f"{pooled.models} models"
    where = f"{recent.images:,} images of the last {nights} {recent.gained:,} gained, {recent.lost:,} lost"
    return f"{where}; over {models} a mean gain of {points(pooled.gain)}, {_test(recent)}"


def _test(compared: Paired | Recent) -> str:
    p_value, level = compared.pooled.p_value, compared.level
    return f"p = {p_text(p_value)} {'<=' if p_value <= level else '>'} {p_text(level)}"


def _new(classes: Sequence[NewClass]) -> str:
    """Return what the candidate knows of classes that were added."""
    return few([f"{one.name} is new: {one.correct:,} of {one.images:,} test images right" for one in classes], "; ")


def _frozen(case: Case) -> str:
    """Return what is to be done if the champion has fewer errors than one model must gain, or ""."""
    assert case.champion is not None
    errors, fewest = case.champion.n - case.champion.correct, fewest_gained(case.policy.yearly_errors)
    if errors >= fewest:
        return ""
    other = ", another policy (--promote-when ahead)" if case.policy.promote_when == "better" and errors else ""
    return (
        f", and the champion has only {errors:,} of the {fewest} errors that one model must correct: more test images"
        f"{other}, or force with a reason"
    )


def _loss_ruled_out(case: Case) -> bool:
    return _paired(case).p_not_worse <= case.policy.not_worse_level


def _ruled_out(case: Case) -> str:
    return (
        f"a loss of {points(case.policy.margin)} or more is ruled out, "
        f"p = {p_text(_paired(case).p_not_worse)} <= {p_text(case.policy.not_worse_level)}"
    )


def _short_of(case: Case) -> str:
    """Return what is missing for a promotion by the margin."""
    if _loss_ruled_out(case):
        return "more right answers than the champion's"
    return (
        f"fewer lost images: a loss of {points(case.policy.margin)} or more is not ruled out, "
        f"p = {p_text(_paired(case).p_not_worse)} > {p_text(case.policy.not_worse_level)}"
    )


def _allowed(share: float, images: int) -> float:
    """Return how many images may be lost; one always may, or in a class of five the share would allow none."""
    return max(1.0, share * images) if share else 0.0


def few(items: Sequence[object], separator: str = ", ") -> str:
    """Return the first items and the number of the others: a sentence stays one with hundreds of classes."""
    shown = separator.join(map(str, items[:LISTED]))
    return f"{shown}{separator}and {len(items) - LISTED:,} more" if len(items) > LISTED else shown


def _shown(compared: Paired | Recent) -> bool:
    return compared.pooled.gain > 0 and compared.pooled.p_value <= compared.level


# -- not None where a rule uses them: the rules before it return first for a case without a comparison -----------------


def _champion(case: Case) -> Champion:
    assert case.evidence.champion is not None
    return case.evidence.champion


def _compared(case: Case) -> Share:
    return case.on_known or case.candidate


def _paired(case: Case) -> Paired:
    assert case.paired is not None
    return case.paired


def _spending(case: Case) -> Budget:
    assert case.budget is not None
    return case.budget


def _look(case: Case) -> Look:
    assert case.look is not None
    return case.look
