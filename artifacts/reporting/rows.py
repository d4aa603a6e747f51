"""The rows of the report's tables; the templates say where each table stands and how its columns are called.

A cell is `Markdown` where it has markup of its own; every other cell is plain text, which `markdown.table` escapes.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from artifacts.evaluation.metrics import Metrics
from artifacts.evaluation.numbers import NONE, interval, number, percent, points, significant
from artifacts.gate.decision import Check, Decision, Paired
from artifacts.gate.self_test import SelfTest
from artifacts.reporting.markdown import Markdown, bold, code, sparkline, text
from artifacts.reporting.measured import Past
from artifacts.reporting.summary import CandidateRow, NightReport
from data.drift.shift import Shift
from data.validation.observed import Observed
from data.validation.results import Catch, Failure

if TYPE_CHECKING:
    from artifacts.evaluation.candidates import Standing
    from artifacts.serving.check import InfraResult
    from data.snapshots.nights import Night as DataNight

FEW = 30  # classes: up to here every one has its row; beyond, only those of lowest recall
Rows = list[tuple[object, ...]]


def facts(night: NightReport) -> Rows:
    """Return what identifies the run and what it changed."""
    seconds = (night.finished - night.started).total_seconds()
    rows: Rows = [
        ("dataset", Markdown(f"{text(night.title)} ({code(night.dataset)})")),
        ("run", code(night.run)),
        ("when", f"{night.started:%Y-%m-%d %H:%M:%S} UTC, {number(seconds, 1)} s"),
        ("winner on validation", code(night.winner or None)),
        ("champion before", _version(night.champion_before)),
        ("champion after", _version(night.champion_after)),
    ]
    if night.waits:
        rows.append(("waits for approval", text(night.waits)))
    if night.decision:
        rows += _decision_facts(night.decision)
    if night.decided:
        rows.append(("decisions on this test set", f"{night.decided:,} in the ledger so far"))
    if night.ledger:
        rows.append(("newest line of the ledger", code(night.ledger)))
    return rows


def _decision_facts(decision: Decision) -> Rows:
    rows: Rows = [
        ("decided by the rule", code(decision.rule)),
        ("what would change it", text(decision.would_change, 1000)),
    ]
    rows += [("note", note) for note in decision.notes]
    if decision.force_reason:
        rows.append(("reason for the force", decision.force_reason))
    return rows


def _version(version: str | None) -> object:
    return code(version) if version else "none"


# -- what is new in the data of a dataset that grows -------------------------------------------------------------------


def added(news: "DataNight") -> Rows:
    """Return the images that are new; those that are not named are counted."""
    return _with_rest([(name,) for name in news.added], news.n_added, 1) if news.base else []


def relabelled(news: "DataNight") -> Rows:
    """Return the images whose label was corrected; the last row has the number of those that are not named."""
    return _with_rest([*news.relabelled], news.n_relabelled, 3)


def left_out(news: "DataNight") -> Rows:
    """Return what cannot be used, and why."""
    return _with_rest([*news.quarantined], news.n_quarantined, 2)


def removed(news: "DataNight") -> Rows:
    """Return the images that the source no longer has."""
    return _with_rest([(name,) for name in news.removed], news.n_removed, 1)


def shifts(found: Sequence[Shift]) -> Rows:
    """Return how the data differ from those of the nights before, with effect sizes."""
    return [
        (one.rule, f"{one.measure} {significant(one.effect)}", significant(one.warns_above), text(one.sentence, 1000))
        for one in found
    ]


def _with_rest(named: Rows, n: int, width: int) -> Rows:
    shown = named[: FEW - 1]
    if n > len(shown):
        shown.append((f"and {n - len(shown):,} more", *[""] * (width - 1)))
    return shown


# -- the decision ---------------------------------------------------------------------------------------------


def models(decision: Decision) -> Rows:
    """Return the test accuracy of the candidate and of the champion that it was compared with."""
    compared = [("candidate", decision.candidate), ("champion", decision.champion)]
    return [
        (role, code(one.name), f"{one.correct:,}", f"{one.n:,}", percent(one.accuracy), interval(one.low, one.high))
        for role, one in compared
        if one
    ]


def comparison(decision: Decision, paired: Paired, class_names: Sequence[str]) -> Rows:
    """Return the paired comparison of candidate and champion on the same images."""
    pooled, n = paired.pooled, decision.candidate.n
    detectable = "none: no gain would have been significant" if pooled.detectable is None else points(pooled.detectable)
    return [
        ("images that only the candidate gets right", f"{paired.gained:,}"),
        ("images that only the champion gets right", f"{paired.lost:,}{_most_lost(paired, class_names)}"),
        ("gain of this candidate", points((paired.gained - paired.lost) / n if n else None)),
        ("exact McNemar test of this candidate alone, two-sided p-value", significant(paired.p_tonight)),
        ("models of this recipe compared with this champion so far", f"{pooled.models:,}"),
        ("their mean gain", points(pooled.gain)),
        ("their two-sided p-value", significant(pooled.p_value)),
        ("level that this p-value must not exceed", significant(paired.level)),
        ("smallest gain that could have been detected", detectable),
        (f"p-value for a loss of {points(decision.policy.margin)} or more", significant(paired.p_not_worse)),
    ]


def _most_lost(paired: Paired, class_names: Sequence[str]) -> str:
    lost = np.asarray(paired.lost_per_class)
    worst = [index for index in np.argsort(-lost, kind="stable")[:3].tolist() if lost[index]]
    listed = ", ".join(f"class {class_names[index]:.20}: {lost[index]:,}" for index in worst)
    return f" (most: {listed})" if listed else ""


def requirements(checks: Sequence[Check]) -> Rows:
    """Return the minimum requirements with what was measured, failed ones first."""
    return [_requirement(check) for check in sorted(checks, key=lambda check: check.passed)]


def _requirement(check: Check) -> tuple[object, ...]:
    limit = f"{'≥' if check.sign == '>=' else '≤'} {significant(check.limit, 5)}"
    measured = "not measured" if check.got is None else significant(check.got, 5)
    return check.name, limit, measured, _result(check.passed)


# -- the candidates -------------------------------------------------------------------------------------------


def candidates(night: NightReport) -> Rows:
    """Return one row per trained candidate, in the order in which they were asked for."""
    return [_candidate(row, night.winner) for row in night.candidates if not row.failed]


def failed_candidates(night: NightReport) -> Rows:
    """Return the candidates that could not be trained, with the reasons."""
    return [(code(row.name), row.failed) for row in night.candidates if row.failed]


def _candidate(row: CandidateRow, winner: str) -> tuple[object, ...]:
    texts = row.texts(winner)
    result = bold(texts["result"]) if row.name == winner else texts["result"]
    shown = ("validation", "test", "training", "images/s", "weights", "device")
    return code(texts["candidate"]), *(texts[name] for name in shown), result


def standings(ranked: Sequence["Standing"]) -> Rows:
    """Return how the recipes rank over several seeds, best first."""
    return [(code(one.recipe), one.n, percent(one.mean), percent(one.standard_error)) for one in ranked]


def parameters(night: NightReport) -> Rows:
    """Return the parameters of every recipe, once per different set."""
    sets = dict.fromkeys((row.recipe, row.settings) for row in night.candidates if row.parameters)
    return [(code(recipe), settings) for recipe, settings in sets]


def curves(night: NightReport) -> Rows:
    """Return the curves where no picture can be shown: first value, shape, last value."""
    return [_curve(row) for row in night.candidates[:40] if row.history]


def _curve(row: CandidateRow) -> tuple[object, ...]:
    def curve(key: str, shown: Any) -> str:
        values = [epoch.get(key) for epoch in row.history]
        return f"{shown(values[0])} {sparkline(values, 20)} {shown(values[-1])}"

    losses = (curve(key, lambda value: number(value, 3)) for key in ("loss", "val_loss"))
    return code(row.name), *losses, curve("val_accuracy", percent)


# -- what was checked -----------------------------------------------------------------------------------------


def serving(infra: "InfraResult") -> Rows:
    """Return what the fresh process measured that served the winner."""
    megabytes = None if infra.size_bytes is None else infra.size_bytes / 1e6
    measured = (number(infra.load_s, 2, " s"), number(infra.latency_ms, 2, " ms"), number(megabytes, 2, " MB"))
    return [(*measured, f"{infra.n_requests:,}", significant(infra.max_abs_diff))]


def failures(failed: Sequence[Failure]) -> Rows:
    """Return the expectations that the data does not meet."""
    return [(code(one.expectation), one.subject, one.expected, one.observed) for one in failed]


def catches(caught: Sequence[Catch]) -> Rows:
    """Return the corrupted copies of the data, and which expectations noticed them."""
    return [_catch(one) for one in caught]


def _catch(catch: Catch) -> tuple[object, ...]:
    result = "caught" if catch.caught else "left to the gate" if catch.ok else bold("MISSED")
    more = f" and {len(catch.by) - 2} more" if len(catch.by) > 2 else ""
    return catch.corruption, catch.what, result, ", ".join(catch.by[:2]) + more


def self_tests(tests: Sequence[SelfTest]) -> Rows:
    """Return what the gate decided about models whose verdict is known."""
    return [(test.name, test.expected, test.got, _result(test.passed)) for test in tests]


def _result(passed: bool) -> str:
    return "ok" if passed else bold("FAILED")


# -- the winner -----------------------------------------------------------------------------------------------


def classes(test: Metrics, class_names: Sequence[str]) -> Rows:
    """Return the metrics per class: all of them in order, or the `FEW` of lowest recall."""
    order = sorted(range(len(test.per_class)), key=lambda index: test.per_class[index].recall)[:FEW]
    if len(test.per_class) <= FEW:
        order.sort()
    return [_class(test, index, class_names) for index in order]


def _class(test: Metrics, index: int, class_names: Sequence[str]) -> tuple[object, ...]:
    one = test.per_class[index]
    shares = (percent(share) for share in (one.precision, one.recall, one.f1))
    return text(class_names[index], 40), *shares, f"{one.support:,}"


def n_wrong(test: Metrics) -> int:
    """Return the number of images that are classified wrongly."""
    counts = np.asarray(test.confusion, dtype=np.int64)
    return int(counts.sum() - np.trace(counts))


def mistakes(test: Metrics, class_names: Sequence[str]) -> Rows:
    """Return the eight most frequent pairs of true and predicted class."""
    counts = np.asarray(test.confusion, dtype=np.int64)
    wrong, images = counts - np.diag(np.diag(counts)), counts.sum(axis=1)
    pairs = (divmod(int(flat), len(wrong)) for flat in np.argsort(-wrong, axis=None, kind="stable")[:8])
    return [
        (text(class_names[true], 40), text(class_names[other], 40), f"{wrong[true, other]:,} of {images[true]:,}")
        for true, other in pairs
        if wrong[true, other]
    ]


def provenance(made_from: Mapping[str, Any]) -> Rows:
    """Return what the winner was made from, one row per field of `Provenance`."""
    return [(name.replace("_", " "), _value(value)) for name, value in made_from.items()]


def _value(value: Any) -> object:
    if isinstance(value, Mapping):
        return text(", ".join(f"{key} {item}" for key, item in value.items()), 1000)
    return NONE if value is None or value == "" else code(value)


# -- the data beside the reference and the nights before ---------------------------------------------------------------


def data_since(night: NightReport) -> str:
    """Return in words whether the data are those of the night before, for a dataset that does not grow."""
    if not night.past:
        return "first recorded night"
    before = night.past[-1].data
    same = (before.counts, before.statistics) == (night.data.counts, night.data.statistics)
    return "unchanged" if same else "changed" if night.data.counts else "not accepted"


def statistics_headers(night: NightReport) -> tuple[str, ...]:
    """Return the columns of `statistics`."""
    return ("", "tonight>", *(("reference>",) if night.data.reference else ()), *_days(night.past))


def statistics(night: NightReport) -> Rows:
    """Return number of images, mean and deviation of the pixels beside the reference and the last nights."""
    facts = [night.data, *(one.data for one in reversed(night.past))]
    if not any(one.counts or one.statistics for one in facts):
        return []
    counted = [{name: sum(counts) for name, counts in one.counts.items()} for one in facts]
    rows: Rows = []
    for split in ("train", "validation", "test"):
        values = [number(one.get(split), 0) for one in counted]
        rows.append((f"{split} images", *_beside(values, NONE, night)))
    for name in dict.fromkeys([*night.data.statistics, *night.data.reference]):
        values = [number(one.statistics.get(name), 5) for one in facts]
        rows.append((f"{name} of the pixels", *_beside(values, number(night.data.reference.get(name), 5), night)))
    return rows


def shares_headers(night: NightReport) -> tuple[str, ...]:
    """Return the columns of `shares`."""
    return ("class", *statistics_headers(night)[1:])


def shares(night: NightReport) -> Rows:
    """Return the class shares of the training images beside the reference and the last nights."""
    facts = [night.data.counts.get("train", ()), *(one.data.counts.get("train", ()) for one in reversed(night.past))]
    known = night.data.reference_counts
    return [
        (text(name, 40), *_beside([_share(counts, index) for counts in facts], _share(known, index), night))
        for index, name in enumerate(night.class_names)
    ]


def _share(counts: Sequence[int], index: int) -> str:
    return percent(counts[index] / (sum(counts) or 1)) if index < len(counts) else NONE


def _beside(values: Sequence[str], reference: str, night: NightReport) -> tuple[str, ...]:
    return (values[0], *((reference,) if night.data.reference else ()), *values[1:])


def _days(past: Sequence[Past]) -> tuple[str, ...]:
    return tuple(f"{one.when[5:16].replace('T', ' ')}>" for one in reversed(past))


def expectations(found: Sequence[Observed]) -> Rows:
    """Return every expectation with what was observed, those that are not met first."""
    ordered = sorted(found, key=lambda one: one.met)
    return [(one.subject, code(one.expectation), one.expected, one.observed, _result(one.met)) for one in ordered]


def robustness(night: NightReport) -> Rows:
    """Return the winner's accuracy on changed copies of the test images, the worst last."""
    test = night.winning.test if night.winning else None
    if test is None:
        return []
    changed = sorted(night.robustness.items(), key=lambda item: -item[1])
    rows: Rows = [("as they are", percent(test.accuracy), NONE)]
    return rows + [(name, percent(share), points(share - test.accuracy)) for name, share in changed]
