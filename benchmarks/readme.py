"""Writes what `benchmarks.training` measured into the README, so that no figure is copied by hand.

python -m benchmarks.training --json docs/figures/training.json
python -m benchmarks.readme
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README, FIGURES = ROOT / "README.md", ROOT / "docs" / "figures" / "training.json"
BEGIN, END = "<!-- written by python -m benchmarks.readme -->\n", "<!-- up to here -->\n"


def section(figures: Mapping[str, Any]) -> str:
    """Return the section for a file of figures, as `benchmarks.training --json` writes it."""
    rows = {name: row for name, row in figures.items() if name != "machine"}
    return "\n".join((*_conditions(figures["machine"]), "", *_times(rows), "", *_rates(rows), ""))


def replaced(readme: str, figures: Mapping[str, Any]) -> str:
    """Return a README with its section written anew.

    Raises:
        ValueError: the README has no place for it.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md has no lines {BEGIN!r} and {END!r}")
    return f"{before}{begin}\n{section(figures)}\n{end}{after}"


def _conditions(machine: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{machine['cores']} cores, {machine['processor'].replace('_', '-')}, no GPU; "
        f"TensorFlow {machine['tensorflow']}, Keras {machine['keras']}, Python {machine['python']}."
    )


def _times(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| on | recipe | accuracy on test | training, longest | target | |"
    yield "|---|---|---|---|---|---|"
    for name, row in rows.items():
        if "test_mean" in row:
            spread = f" ± {100 * row['test_sd']:.2f}" if row["test_sd"] is not None else ""
            n = len(row["test"])
            yield (
                f"| {name.partition(' to ')[0]} | `{row['candidate']}` | {100 * row['test_mean']:.2f} %{spread} "
                f"({n} seed{'s' if n > 1 else ''}) | {max(row['seconds']):.1f} s | "
                f"{100 * row['target']:.2f} % in {row['target_seconds']:g} s | {_verdict(row)} |"
            )


def _rates(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| rate | Nightshift | beside it | ratio | target | | PyTorch |"
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
    """Write the section anew."""
    README.write_text(replaced(README.read_text(), json.loads(FIGURES.read_text())))


if __name__ == "__main__":
    main()
