"""Mutation testing of the gate: change its code in every small way, and check that a test fails each time.

    python -m benchmarks.mutate_gate [--only MODULE ...] [--jobs N] [--json FILE]

A mutant (benchmarks/mutants.py) is loaded in a forked process, without changing a file, and the gate's tests run until
one fails. A mutant that passes all of them has survived: either a test is missing, or the change makes no difference
and EQUIVALENT says why. Why not mutmut or cosmic-ray: docs/decisions/0013-mutation-testing.md.
"""

import argparse
import importlib.abc
import importlib.machinery
import importlib.util
import json
import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from benchmarks.mutants import ROOT, Mutant, mutants

MODULES = ("paired_tests", "policy", "evidence", "decision", "comparison", "rules", "judge", "self_test")
TESTS = ("rules", "judge", "decision", "self_test", "comparison", "policy", "paired_tests")
LIMIT_S = 120  # a mutant that runs this long counts as detected

# survivors that are no gap in the tests: "module: change" -> why no test can tell
EQUIVALENT = {
    "paired_tests: zip: drop strict=True": "np.unique gives as many counts as values",
    "paired_tests: True -> False": "zip's strict, as above (the other True in the module, frozen, is tested)",
    "paired_tests: rights.sum: drop dtype=np.int64": "NumPy sums booleans as int64 anyway (on Windows from 2.0 on)",
    "rules: paired.lost <= paired.gained: LtE -> Lt": "a tie has p = 1, which no level reaches",
    "rules: paired.pooled.gain > 0: Gt -> GtE": "no gain has p = 1, which no level reaches",
    "rules: zip: drop strict=True": "names, losses and images per class are equally many by construction",
    "rules: True -> False": "zip's strict, as above (the other True in the module, frozen, is tested)",
    "self_test: 'self-test' -> ''": "the names in the self-test's evidence are not shown; they need only be equal",
    "self_test: '2000-01-01' -> ''": "without earlier looks no date is read",
    "decision: self.champion and self.paired and self.budget: And -> Or": "a comparison gives all three or none",
}


# -- trying them ------------------------------------------------------------------------------------------------------


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module of artifacts/gate/ from changed source."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Take the mutated module, leave all others to Python."""
        del path, target
        if fullname != f"artifacts.gate.{self.mutant.module}":
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed source as the module."""
        exec(compile(self.mutant.source, f"<{self.mutant.name}>", "exec"), module.__dict__)


def survives(mutant: Mutant) -> bool:
    """Run the gate's tests against a mutant in this process, which is used for nothing else."""
    import pytest

    signal.alarm(LIMIT_S)  # kills this process, which the parent sees as a failure
    with Path(os.devnull).open("w") as silence:
        os.dup2(silence.fileno(), 1)
        os.dup2(silence.fileno(), 2)
    sys.meta_path.insert(0, Mutated(mutant))
    options = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:anyio"]
    own_first = sorted(TESTS, key=lambda name: name != mutant.module)
    # one file at a time: most mutants die in the first, and collecting the others takes longer than running it
    return all(
        pytest.main([*options, str(ROOT / "tests" / "artifacts" / "gate" / f"test_{name}.py")]) == 0
        for name in own_first
    )


def try_one(mutant: Mutant) -> bool:
    """Fork, try, and return whether the mutant survived."""
    child = os.fork()
    if child == 0:
        os._exit(0 if survives(mutant) else 1)
    return os.waitpid(child, 0)[1] == 0


def show(mutant: Mutant) -> bool:
    """Print a survivor and why no test can detect it, as soon as it is known."""
    print(f"{mutant.name}\n    {EQUIVALENT.get(f'{mutant.module}: {mutant.change}', 'SURVIVED')}", flush=True)
    return True


def main() -> None:
    """Try every mutant, print the survivors, and fail if one has no written reason."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MODULES, default=MODULES, help="modules to change")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tried at once")
    parser.add_argument("--json", type=Path, help="write counts and survivors to this file")
    options = parser.parse_args()
    _preload()
    everything = [mutant for module in options.only for mutant in mutants(module)]
    with multiprocessing.get_context("fork").Pool(options.jobs) as workers:
        outcomes = workers.imap(try_one, everything, chunksize=4)
        survivors = [mutant for mutant, survived in zip(everything, outcomes, strict=True) if survived and show(mutant)]
    known = [mutant for mutant in survivors if f"{mutant.module}: {mutant.change}" in EQUIVALENT]
    tried, lived = Counter(m.module for m in everything), Counter(m.module for m in survivors)
    for module in options.only:
        print(f"{module:<12} {tried[module]:>4} mutants, {lived[module]} survived")
    print(f"{len(everything)} mutants, {len(survivors)} survived, {len(known)} of these make no difference")
    if options.json:
        names = {m.name: EQUIVALENT.get(f"{m.module}: {m.change}") for m in survivors}
        options.json.write_text(json.dumps({"mutants": tried, "survivors": names}, indent=1) + "\n")
    sys.exit(len(survivors) > len(known))


def _preload() -> None:
    """Import what every child needs once, but none of the modules that are changed."""
    for name in ("hypothesis", "pydantic", "pytest", "scipy.optimize", "scipy.stats", "artifacts.evaluation.metrics"):
        importlib.import_module(name)


if __name__ == "__main__":
    main()
