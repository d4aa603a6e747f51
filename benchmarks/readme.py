"""Writes the figures of `benchmarks.training` into README.md and docs/benchmarks.md, so that none is copied by hand.

python -m benchmarks.training --json docs/figures/training.json
python -m benchmarks.readme
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README, BENCHMARKS = ROOT / "README.md", ROOT / "docs" / "benchmarks.md"
FIGURES = ROOT / "docs" / "figures" / "training.json"
BEGIN, END = "<!-- written by python -m benchmarks.readme -->\n", "<!-- end of what it writes -->\n"
# The rows of the README, by their names in the figures' file.
HEADLINES = (
    "mnist to 99.50% in 12 s",
    "fashion-mnist to 93.00% in 30 s",
    "fashion-mnist to 95.00% in 1800 s",
    "mlp-128, batch 32, against model.fit",
)


def headlines(figures: Mapping[str, Any]) -> str:
    """Return the README's table: the figures named by HEADLINES."""
    return "\n".join(("| | measured |", "|---|---|", *map(_headline, HEADLINES, (figures[name] for name in HEADLINES))))


def tables(figures: Mapping[str, Any]) -> str:
    """Return the tables of docs/benchmarks.md: conditions, every time to an accuracy, every rate."""
    rows = {name: row for name, row in figures.items() if name != "machine"}
    return "\n".join((*_conditions(figures["machine"]), "", *_times(rows), "", *_rates(rows)))


PAGES: Mapping[Path, Callable[[Mapping[str, Any]], str]] = {README: headlines, BENCHMARKS: tables}


def replaced(page: Path, text: str, figures: Mapping[str, Any]) -> str:
    """Return the text of a page with its figures written again.

    Args:
        page: one of PAGES.
        text: the page as it is.
        figures: as `benchmarks.training --json` writes them.

    Raises:
        ValueError: the text lacks the two comments that enclose the figures.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"expected the lines {BEGIN!r} and {END!r} in {page.name}, found at most one of them")
    return f"{before}{begin}\n{PAGES[page](figures)}\n\n{end}{after}"


def _headline(name: str, row: Mapping[str, Any]) -> str:
    if "test_mean" in row:
        dataset = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}[name.partition(" to ")[0]]
        seconds = max(row["seconds"])
        duration = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
        return f"| {dataset}, `{row['candidate']}` | {_accuracy(row)} on the test images after {duration} of training |"
    what = name.partition(",")[0]
    return (
        f"| Training rate of `{what}` | {row['ours']:,.0f} {row['unit']}, {row['ratio']:.0f} times that of `model.fit` "
        f"({row['baseline']:,.0f}) |"
    )


def _conditions(machine: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{machine['cores']} cores, {machine['processor'].replace('_', '-')}, no GPU; "
        f"TensorFlow {machine['tensorflow']}, Keras {machine['keras']}, Python {machine['python']}."
    )


def _times(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| dataset | recipe | test accuracy | longest training | target | |"
    yield "|---|---|---|---|---|---|"
    for name, row in rows.items():
        if "test_mean" in row:
            yield (
                f"| {name.partition(' to ')[0]} | `{row['candidate']}` | {_accuracy(row)} | "
                f"{max(row['seconds']):.1f} s | {100 * row['target']:.2f} % in {row['target_seconds']:g} s | "
                f"{_verdict(row)} |"
            )


def _accuracy(row: Mapping[str, Any]) -> str:
    """Return the mean with its standard deviation over the seeds, in percent."""
    spread = f" ± {100 * row['test_sd']:.2f}" if row["test_sd"] is not None else ""
    n = len(row["test"])
    return f"{100 * row['test_mean']:.2f} %{spread} ({n} seed{'s' if n > 1 else ''})"


def _rates(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| rate | Nightshift | baseline | ratio | target | | PyTorch, and our ratio to it |"
    yield "|---|---|---|---|---|---|---|"
    for name, row in rows.items():
        if "baseline" in row:
            yield (
                f"| {name} | {row['ours']:,.0f} {row['unit']} | {row['baseline']:,.0f} {row['unit']} | "
                f"{row['ratio']:.1f} | {row['target']:g} | {_verdict(row)} | {_pytorch(row)} |"
            )
        elif "peak_gflops" in row:
            yield (
                f"| {name} | {row['reached_gflops']:.0f} Gflop/s | {row['peak_gflops']:.0f} Gflop/s | "
                f"{100 * row['ratio']:.0f} % | {100 * row['target']:g} % | {_verdict(row)} | {_pytorch(row)} |"
            )


def _pytorch(row: Mapping[str, Any]) -> str:
    if "pytorch" not in row:
        return ""
    return f"{row['pytorch']:,.0f} images/s: {row['ours'] / row['pytorch']:.1f}x"


def _verdict(row: Mapping[str, Any]) -> str:
    return "met" if row["met"] else "missed"


def main() -> None:
    """Write the figures into both pages."""
    figures = json.loads(FIGURES.read_text())
    for page in PAGES:
        page.write_text(replaced(page, page.read_text(), figures))


if __name__ == "__main__":
    main()
