"""The report of a night: a Markdown file with pictures beside it, and without pictures as a note for the UI."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artifacts.evaluation.metrics import Metrics
from artifacts.gate.decision import Check, Decision, Paired
from artifacts.reporting import charts, pictures
from artifacts.reporting.markdown import NONE, bars, code, number, share, significant, sparkline, table, text
from artifacts.reporting.summary import CandidateRow, Examples, NightReport, failed_row, trained_row
from data.files import storage_errors
from data.validation import Catch

if TYPE_CHECKING:
    from artifacts.serving.check import InfraResult

# what callers need, in one place
__all__ = [
    "CandidateRow",
    "Examples",
    "NightReport",
    "bars",
    "failed_row",
    "trained_row",
    "ui_markdown",
    "write_report",
]

REPORT = "report.md"
CURVES, CONFUSION, MISTAKES = "loss-curves.png", "confusion.png", "mistakes.png"
UI_BYTES = 90_000  # a UI note is one value in the server's database
FEW = 30  # classes: up to here every one has its line; beyond, the worst


def write_report(folder: Path, night: NightReport) -> str:
    """Write report.md and its pictures into a folder.

    Args:
        folder: where; created if missing.
        night: what to tell.

    Returns:
        The Markdown, as in the file.

    Raises:
        StorageFailed: the folder cannot be written.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if histories := _best_histories(night):
        charts.loss_curves(histories, folder / CURVES)
    winning = night.winning
    if winning and winning.test:
        charts.confusion_matrix(winning.test.confusion, night.class_names, folder / CONFUSION)
    if night.examples:
        seen = night.examples
        pictures.mistakes(seen.images, seen.labels, seen.probabilities, night.class_names, folder / MISTAKES)
    markdown = _join(_sections(night, folder))
    with storage_errors(folder):
        (folder / REPORT).write_text(markdown, encoding="utf-8")
    return markdown


def _best_histories(night: NightReport, most: int = 24) -> dict[str, Sequence[Mapping[str, Any]]]:
    """The curves of the candidates that did best on validation; more than a legend can tell apart are no use."""
    trained = [row for row in night.candidates if row.history]
    ranked = sorted(trained, key=lambda row: row.validation.accuracy if row.validation else 0.0, reverse=True)
    kept = {row.name for row in ranked[:most]}
    return {row.name: row.history for row in trained if row.name in kept}


def ui_markdown(night: NightReport) -> str:
    """Return the report without pictures and with at most 90,000 bytes, for a note in the Prefect UI."""
    markdown = _join(_sections(night, None))
    encoded = markdown.encode()
    if len(encoded) <= UI_BYTES:
        return markdown
    kept = encoded[:UI_BYTES].decode(errors="ignore").rpartition("\n")[0]
    return f"{kept}\n\nThe rest is in {REPORT} of run {code(night.run)}.\n"


def _join(sections: Iterator[str]) -> str:
    return "\n\n".join(section for section in sections if section) + "\n"


def _sections(night: NightReport, folder: Path | None) -> Iterator[str]:
    """Yield the report's paragraphs; with pictures where there is a folder with pictures."""

    def picture(name: str, alt: str) -> str:
        return f"![{alt}]({name})" if folder and (folder / name).exists() else ""

    yield f"# {text(night.headline)}: {text(night.reason, 2000)}"
    yield _meaning(night)
    yield _facts(night)
    yield from _next(night)
    if night.decision:
        yield from _decision(night.decision, night)
    yield from _candidates(night)
    yield picture(CURVES, "Loss and accuracy per epoch and candidate")
    if not folder:
        yield _curves(night)
    yield from _checks(night)
    if night.winning and night.winning.test:
        yield from _winner(night.winning.test, night)
    yield picture(CONFUSION, "Which class the winner takes for which")
    yield picture(MISTAKES, "The winner's most confident mistakes")
    yield from _provenance(night.provenance)


# -- what happened --------------------------------------------------------------------------------------------


def _meaning(night: NightReport) -> str:
    before, after = night.champion_before, night.champion_after
    if night.mode == "dry-run":
        return f"This was a dry run: {_champion_stays(before)}, and nothing was written to the ledger."
    if night.promoted:
        instead = f"in place of {code(before)}" if before else "the first one"
        return f"{code(after or NONE)} is now the champion of {text(night.title)}, {instead}."
    if night.verdict == "HOLD":
        return f"Holding is not a failure: nothing broke, and {_champion_stays(before)}."
    return f"T{_champion_stays(before)[1:]}."


def _champion_stays(champion: str | None) -> str:
    return f"the champion is still {code(champion)}" if champion else "there is still no champion"


def _facts(night: NightReport) -> str:
    seconds = (night.finished - night.started).total_seconds()
    since = f", since {text(night.champion_since)}" if night.champion_since else ""
    rows = [
        ("dataset", f"{text(night.title)} ({code(night.dataset)})"),
        ("run", code(night.run)),
        ("when", f"{night.started:%Y-%m-%d %H:%M:%S} UTC, {number(seconds, 1)} s"),
        ("winner on validation", code(night.winner) if night.winner else NONE),
        ("champion before", f"{code(night.champion_before)}{since}" if night.champion_before else "none"),
        ("champion after", code(night.champion_after) if night.champion_after else "none"),
    ]
    if night.decision:
        rows.append(("decided by the rule", code(night.decision.rule)))
        rows.append(("what would have changed it", text(night.decision.would_change, 1000)))
        rows += [("note", text(note)) for note in night.decision.notes]
    if night.decision and night.decision.force_reason:
        rows.append(("forced, because", text(night.decision.force_reason)))
    if night.decided:
        rows.append(("decisions by this test set", f"{night.decided:,} in the ledger so far"))
    if night.ledger:
        rows.append(("newest line of the ledger", code(night.ledger)))
    rows += [("note", text(note)) for note in night.notes]
    return table(("", "tonight"), rows)


def _next(night: NightReport) -> Iterator[str]:
    if night.next_commands:
        yield "## What to do next"
        yield "\n".join(f"- {code(command)} – {text(purpose)}" for command, purpose in night.next_commands)


# -- the decision ---------------------------------------------------------------------------------------------


def _decision(decision: Decision, night: NightReport) -> Iterator[str]:
    yield "## The decision" if decision.verdict == night.verdict else "## The decision when it was taken"
    models = [("candidate", decision.candidate), ("champion", decision.champion)]
    rows = [
        (role, code(s.name), f"{s.correct:,}", f"{s.n:,}", share(s.accuracy), _interval(s.low, s.high))
        for role, s in models
        if s
    ]
    yield table(("", "model", "right>", "images>", "test accuracy>", "95 % interval>"), rows)
    if decision.paired:
        yield _comparison(decision.paired, decision, night)
    if decision.budget:
        budget = decision.budget
        yield (
            f"This test set has been looked at {budget.looks:,} times in 365 days, tonight included. "
            f"A year of looks may bring {significant(budget.allowed)} lucky promotions: {significant(budget.used)} "
            f"were spent before, {significant(budget.tonight)} tonight, {significant(budget.left)} are left."
        )
    if decision.checks:
        yield "Floors and budgets, which no comparison can make good:"
        failed_first = sorted(decision.checks, key=lambda check: check.passed)
        yield table(("demand", "limit>", "came>", ""), [_demand(check) for check in failed_first], limit=FEW)
    policy = ", ".join(f"{name} {value}" for name, value in decision.policy.to_json().items())
    yield f"Policy as applied: {text(policy, 1000)}."


def _demand(check: Check) -> tuple[str, ...]:
    limit = f"{'≥' if check.sign == '>=' else '≤'} {significant(check.limit, 5)}"
    got = "not measured" if check.got is None else significant(check.got, 5)
    return text(check.name), limit, got, _ok(check.passed)


def _comparison(paired: Paired, decision: Decision, night: NightReport) -> str:
    pooled, n = paired.pooled, decision.candidate.n
    gain = (paired.gained - paired.lost) / n if n else None
    detectable = "none: no gain could have been" if pooled.detectable is None else _points(pooled.detectable)
    rows = [
        ("images that only the candidate gets right", f"{paired.gained:,}"),
        ("images that only the champion gets right", f"{paired.lost:,}{_lost(paired, night)}"),
        ("gain tonight", _points(gain)),
        ("exact paired test (McNemar) of tonight alone, two-sided p", significant(paired.p_tonight)),
        ("models of this recipe compared with this champion so far", f"{pooled.models:,}"),
        ("their mean gain", _points(pooled.gain)),
        ("their two-sided p", significant(pooled.p_value)),
        ("which had to be at most", significant(paired.level)),
        ("smallest gain that could have been detected", detectable),
        (f"p of worse by {_points(decision.policy.margin)} or more", significant(paired.p_not_worse)),
    ]
    return table(("candidate against champion, same images", "value>"), rows)


def _lost(paired: Paired, night: NightReport) -> str:
    lost = np.asarray(paired.lost_per_class)
    worst = [index for index in np.argsort(-lost, kind="stable")[:3].tolist() if lost[index]]
    listed = ", ".join(f"{text(night.class_names[index], 20)} {lost[index]:,}" for index in worst)
    return f" (most: {listed})" if listed else ""


# -- the candidates -------------------------------------------------------------------------------------------


def _candidates(night: NightReport) -> Iterator[str]:
    if not night.candidates:
        return
    yield "## The candidates"
    evaluated = next((row for row in night.candidates if row.validation and row.test), None)
    sizes = ("", "")
    if evaluated and evaluated.validation and evaluated.test:
        sizes = f" on {evaluated.validation.n_examples:,} images", f" {evaluated.test.n_examples:,}"
    yield (
        f"Validation accuracy{sizes[0]} chose the winner; the{sizes[1]} test images had no say in that. They decided "
        "only whether the winner may replace the champion, and are shown for all candidates that were evaluated."
    )
    headers = (
        "candidate",
        "validation>",
        "95 %>",
        "test>",
        "95 %>",
        "training s>",
        "images/s>",
        "weights>",
        "device",
        "",
    )
    yield table(headers, [_candidate(row, night) for row in night.candidates], limit=60)
    if any(one.n > 1 for one in night.standings):
        yield "A recipe ranks by the mean over its seeds, and sends its median seed before the gate, not its luckiest."
        yield table(
            ("recipe", "seeds>", "mean validation>", "standard error>"),
            [(code(one.recipe), str(one.n), share(one.mean), share(one.standard_error)) for one in night.standings],
        )
    settings = {row.recipe + _settings(row): row for row in night.candidates if row.parameters}
    if settings:
        yield table(
            ("recipe", "parameters"), [(code(row.recipe), text(_settings(row))) for row in settings.values()], limit=30
        )


def _candidate(row: CandidateRow, night: NightReport) -> tuple[str, ...]:
    state = f"failed: {text(row.failed)}" if row.failed else "**winner**" if row.name == night.winner else ""
    state += " (reused from an earlier run)" if row.reused else ""
    return (
        code(row.name),
        *_accuracy(row.validation),
        *_accuracy(row.test),
        number(row.seconds, 1),
        number(row.images_per_s, 0),
        number(row.n_parameters, 0),
        text(row.device) or NONE,
        state.strip(),
    )


def _accuracy(metrics: Metrics | None) -> tuple[str, str]:
    return (share(metrics.accuracy), _interval(metrics.low, metrics.high)) if metrics else (NONE, NONE)


def _settings(row: CandidateRow) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.parameters.items())


def _curves(night: NightReport) -> str:
    """The loss curves where no picture can be shown: each from the first epoch to the last."""
    rows = []
    for row in night.candidates[:40]:
        curves = {key: [epoch.get(key) for epoch in row.history] for key in ("loss", "val_loss", "val_accuracy")}
        if row.history:
            losses = [f"{number(v[0], 3)} {sparkline(v, 20)} {number(v[-1], 3)}" for v in list(curves.values())[:2]]
            accuracy = curves["val_accuracy"]
            rows.append(
                (code(row.name), *losses, f"{share(accuracy[0])} {sparkline(accuracy, 20)} {share(accuracy[-1])}")
            )
    headers = ("candidate", "training loss", "validation loss", "validation accuracy")
    return table(headers, rows) if rows else ""


# -- what was checked -----------------------------------------------------------------------------------------


def _checks(night: NightReport) -> Iterator[str]:
    if night.validation or night.catches or night.self_tests or night.infra:
        yield "## What was checked"
    if night.infra:
        yield from _infra(night.infra)
    if night.validation:
        said = night.validation
        yield " ".join((f"The data: {said.checks:,} checks, {len(said.failures):,} failed.", *map(text, said.notes)))
        rows = [(code(f.expectation), text(f.subject), text(f.expected), text(f.observed)) for f in said.failures]
        yield table(("expectation", "of", "expected", "observed"), rows, limit=20) if rows else ""
    if night.catches:
        caught = sum(catch.caught for catch in night.catches)
        yield f"The checks themselves: {caught} of {len(night.catches)} corrupted copies of tonight's data were caught."
        yield table(("corruption", "what was done", "", "by"), [_catch(catch) for catch in night.catches])
    if night.self_tests:
        passed = sum(test.passed for test in night.self_tests)
        yield f"The gate itself: {passed} of {len(night.self_tests)} self-tests passed."
        tests = [(text(t.name), text(t.expected), text(t.got), _ok(t.passed)) for t in night.self_tests]
        yield table(("self-test", "expected", "observed", ""), tests)


def _infra(infra: "InfraResult") -> Iterator[str]:
    yield f"The winner in a fresh process: {text(infra.message)}."
    megabytes = None if infra.size_bytes is None else infra.size_bytes / 1e6
    headers = ("loads in>", "answers in>", "size>", "images asked>", "largest difference of any probability>")
    answers = (number(infra.load_s, 2, " s"), number(infra.latency_ms, 2, " ms"), number(megabytes, 2, " MB"))
    yield table(headers, [(*answers, f"{infra.n_requests:,}", significant(infra.max_abs_diff))])


def _catch(catch: Catch) -> tuple[str, ...]:
    said = "caught" if catch.caught else "left to the metric gate" if catch.ok else "**MISSED**"
    more = f" and {len(catch.by) - 2} more" if len(catch.by) > 2 else ""
    return text(catch.corruption), text(catch.what), said, text(", ".join(catch.by[:2])) + more


# -- the winner -----------------------------------------------------------------------------------------------


def _winner(test: Metrics, night: NightReport) -> Iterator[str]:
    yield f"## The winner on {test.n_examples:,} test images"
    yield (
        f"Log loss {number(test.log_loss, 4)}, expected calibration error {share(test.ece)}. "
        "Precision: of those called so, the share that is. Recall: of those that are, the share called so."
    )
    order = sorted(range(len(test.per_class)), key=lambda index: test.per_class[index].recall)
    if len(order) <= FEW:
        order.sort()
    else:
        yield f"The {FEW} classes of lowest recall, of {len(order):,}:"
    rows = [
        (text(night.class_names[index], 40), share(c.precision), share(c.recall), share(c.f1), f"{c.support:,}")
        for index, c in ((index, test.per_class[index]) for index in order[:FEW])
    ]
    yield table(("class", "precision>", "recall>", "F1>", "images>"), rows)
    yield _pairs(np.asarray(test.confusion, dtype=np.int64), night)


def _pairs(wrong: np.ndarray[Any, np.dtype[np.int64]], night: NightReport) -> str:
    counts = wrong.sum(axis=1)
    wrong = wrong - np.diag(np.diag(wrong))
    order = [divmod(int(flat), len(wrong)) for flat in np.argsort(-wrong, axis=None, kind="stable")[:8]]
    rows = [
        (
            text(night.class_names[row], 40),
            text(night.class_names[column], 40),
            f"{wrong[row, column]:,} of {counts[row]:,}",
        )
        for row, column in order
        if wrong[row, column]
    ]
    return table(("most frequent mistakes: true", "taken for", "images>"), rows) if rows else "It makes no mistake."


def _provenance(provenance: Mapping[str, Any]) -> Iterator[str]:
    if provenance:
        yield "## Where it comes from"
        yield table(
            ("", "winner"), [(text(key.replace("_", " ")), _value(v)) for key, v in provenance.items()], limit=60
        )


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return text(", ".join(f"{key} {item}" for key, item in value.items()), 1000)
    return NONE if value is None or value == "" else code(value)


def _interval(low: float, high: float) -> str:
    return f"{number(100 * low)} to {number(100 * high)}"


def _points(gain: float | None) -> str:
    return number(None if gain is None else 100 * gain, 2, " points")


def _ok(passed: bool) -> str:
    return "ok" if passed else "**FAILED**"
