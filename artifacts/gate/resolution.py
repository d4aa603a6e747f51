"""What a test set can show: how large a gain must be before the comparison of two models can see it.

Two models differ visibly only in images that one gets right and the other wrong, and the exact test needs a handful of
them, all gained, before it calls a difference more than chance. On a small test set that handful is a large share of
all images, and a champion with fewer errors than that cannot be beaten by one model at all. This is known before the
first night, and is said then. docs/decisions/0019-what-a-test-set-can-show.md has the arithmetic.
"""

import math

from artifacts.evaluation.numbers import exact_percent, points
from artifacts.gate.paired_tests import fewest_gained
from artifacts.gate.policy import LARGEST_MARGIN, Policy

ENOUGH = 0.01  # a test set that can show a gain of this share is large enough to say nothing about it


def limits(n: int, errors: int, policy: Policy) -> str:
    """Return what a test set cannot show about a model that becomes champion, with the remedies; "" if it is enough.

    Args:
        n: number of test images, at least 1.
        errors: how many of them the model gets wrong.
        policy: for the error budget, and what it promotes.
    """
    fewest = fewest_gained(policy.yearly_errors)
    if errors >= fewest and fewest <= ENOUGH * n:
        return ""
    known = f"With {n:,} test images nothing below {points(min(1.0, fewest / n))} can be shown in one night"
    if errors < fewest:
        known += (
            f"; this champion, with {_errors(errors)}, cannot be beaten beyond chance by one model on this test set "
            f"alone ({fewest} more right answers are needed)"
        )
    return f"{known}. {_chosen(policy)}What helps: {'; '.join(_remedies(n, errors, policy))}."


def in_words(n: int, policy: Policy) -> str:
    """Return what a policy requires of a model, and what replaces a champion, in one sentence.

    Args:
        n: number of test images, at least 1.
        policy: as it applies to them.
    """
    accuracy, recall = (exact_percent(round(share, 3)) for share in (policy.min_accuracy, policy.min_recall))
    also = f" and a recall of {recall} in every class with test images" if policy.min_recall else ""
    shown = points(min(1.0, fewest_gained(policy.yearly_errors) / n))
    replaces = {
        "better": f"is better beyond chance ({n:,} test images show gains from {shown} on)",
        "ahead": f"has more right answers, and a loss of {points(policy.margin)} or more is ruled out "
        f"({n:,} test images cannot show gains below {shown})",
        "not-worse": f"is not worse by {points(policy.margin)} or more",
    }[policy.promote_when]
    return f"a model needs a test accuracy of {accuracy}{also}, and replaces a champion if it {replaces}"


def _errors(errors: int) -> str:
    return f"{errors or 'no'} error{'' if errors == 1 else 's'}"


def _chosen(policy: Policy) -> str:
    """Return what the policy promotes if it is not what is better beyond chance."""
    if policy.promote_when == "better":
        return ""
    what = "has more right answers than the champion" if policy.promote_when == "ahead" else "is not worse"
    return (
        f"The policy is therefore {policy.promote_when}: a model is promoted that {what}, "
        f"if a loss of {points(policy.margin)} or more is ruled out. "
    )


def _remedies(n: int, errors: int, policy: Policy) -> list[str]:
    """Return what helps, the surest first."""
    fewest = fewest_gained(policy.yearly_errors)
    ways = [f"more test images ({math.ceil(fewest / min(ENOUGH, max(1, errors) / n)):,} would do)"]
    if policy.promote_when == "better":
        margin = min(LARGEST_MARGIN, max(policy.margin, math.ceil(1000 * fewest / n) / 1000))
        other = "ahead" if errors else "not-worse"  # nothing can be ahead of a champion without errors
        ways.append(f"another policy (--promote-when {other} --margin {margin:g})")
    return ways
