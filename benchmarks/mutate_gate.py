"""Change the gate's code in every small way, and see that a test notices each time.

    python -m benchmarks.mutate_gate [--only MODULE ...] [--jobs N] [--json FILE]

A mutant is one of the gate's modules with one comparison, operator, number, word or condition changed, or one argument,
statement or rule removed. It is loaded in a forked process, without touching a file, and the gate's tests run until
one fails. A mutant that passes all of them has survived: either a test is missing, or the change makes no difference
and EQUIVALENT says why. Docstrings, annotations and asserts, which only people and the type checker read, are left
alone.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import json
import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
MODULES = ("paired", "policy", "evidence", "decision", "comparison", "rules", "gate")
TESTS = ("rules", "gate", "comparison", "policy", "paired")
LIMIT_S = 120  # a mutant that runs this long has been noticed

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
NAMES = {"min": "max", "max": "min", "floor": "ceil", "ceil": "floor"}
Edit = tuple[str, Callable[[], None]]

# survivors that are no gap in the tests: "module: change" -> why no test can tell
EQUIVALENT = {
    "paired: zip: drop strict=True": "np.unique gives as many counts as values",
    "rules: paired.lost <= paired.gained: LtE -> Lt": "a tie has p = 1, which no level reaches",
    "rules: paired.pooled.gain > 0: Gt -> GtE": "no gain has p = 1, which no level reaches",
    "rules: zip: drop strict=True": "names, losses and images per class are equally many by construction",
    "rules: True -> False": "zip's strict, as above (the other True in the module, frozen, is tested)",
    "gate: 'self-test' -> ''": "nobody sees the names in the self-test's made-up evidence; they need only be equal",
    "gate: '2000-01-01' -> ''": "without earlier looks no date is read",
    "decision: self.champion and self.paired and self.budget: And -> Or": "a comparison brings all three or none",
}


@dataclass(frozen=True)
class Mutant:
    """One change: where, in words, and the source of the changed module."""

    module: str
    line: int
    change: str
    source: str

    @property
    def name(self) -> str:
        """Where and what, in one line."""
        return f"{self.module}:{self.line} {self.change}"


# -- making mutants ---------------------------------------------------------------------------------------------------


def mutants(module: str) -> Iterator[Mutant]:
    """Yield every mutant of one module of artifacts/."""
    tree = ast.parse((ROOT / "artifacts" / f"{module}.py").read_text())
    skipped = {id(node) for prose in _prose(tree) for node in ast.walk(prose)}
    for index, node in enumerate(ast.walk(tree)):
        for way, (change, _) in enumerate(() if id(node) in skipped else _edits(node)):
            mutated = copy.deepcopy(tree)
            _edits(list(ast.walk(mutated))[index])[way][1]()
            source = ast.unparse(ast.fix_missing_locations(mutated))
            yield Mutant(module, getattr(node, "lineno", 0), change, source)


def _prose(tree: ast.AST) -> Iterator[ast.AST]:
    """Everything that does not run: docstrings, annotations, asserts, __all__ and the choices of a Literal."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())) | ast.Assert():
                yield node
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                yield node
            case ast.Subscript(value=ast.Name(id="Literal")):
                yield node
            case ast.AnnAssign() | ast.arg():
                if node.annotation:
                    yield node.annotation
            case ast.FunctionDef():
                if node.returns:
                    yield node.returns


def _edits(node: ast.AST) -> list[Edit]:
    """Every way to change this very node, with a description."""
    return _changes(node) + _drops(node) + _removals(node)


def _changes(node: ast.AST) -> list[Edit]:
    edits: list[Edit] = []
    match node:
        case ast.Compare():
            for i, op in enumerate(node.ops):
                edits.append(_swap(node, node.ops, i, op))
        case ast.BoolOp() | ast.BinOp():
            if type(node.op) in SWAPS:
                new = SWAPS[type(node.op)]()
                edits.append(
                    (f"{ast.unparse(node)}: {_name(node.op)} -> {_name(new)}", partial(setattr, node, "op", new))
                )
        case ast.Constant():
            edits += [
                (f"{node.value!r} -> {new!r}", partial(setattr, node, "value", new)) for new in _others(node.value)
            ]
        case ast.UnaryOp():
            edits.append((f"{ast.unparse(node)}: drop {_name(node.op)}", partial(_become, node, node.operand)))
        case ast.If() | ast.IfExp():
            edits.append((f"negate if {ast.unparse(node.test)}", partial(_negate, node)))
        case ast.Return(value=ast.AST() as value) if not isinstance(value, ast.Constant):
            edits.append(
                (f"return None, not {ast.unparse(value)}", partial(setattr, node, "value", ast.Constant(None)))
            )
        case ast.Name(id=name, ctx=ast.Load()) if name in NAMES:
            edits.append((f"{name} -> {NAMES[name]}", partial(setattr, node, "id", NAMES[name])))
        case ast.Attribute(attr=name) if name in NAMES:
            edits.append((f".{name} -> .{NAMES[name]}", partial(setattr, node, "attr", NAMES[name])))
    return edits


def _drops(node: ast.AST) -> list[Edit]:
    edits: list[Edit] = []
    match node:
        case ast.Call():
            for i, keyword in enumerate(node.keywords):
                edits.append(
                    (f"{ast.unparse(node.func)}: drop {ast.unparse(keyword)}", partial(_drop, node.keywords, i))
                )
        case ast.AnnAssign(target=ast.Name(id="RULES"), value=ast.Tuple(elts=rules)):
            edits += [(f"drop the rule {ast.unparse(rule)}", partial(_drop, rules, i)) for i, rule in enumerate(rules)]
        case ast.comprehension():
            edits += [(f"drop if {ast.unparse(test)}", partial(_drop, node.ifs, i)) for i, test in enumerate(node.ifs)]
    return edits


def _removals(node: ast.AST) -> list[Edit]:
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Pass, ast.Assert, ast.Return)
    body = getattr(node, "body", [])
    return [
        (f"remove {ast.unparse(child).splitlines()[0]}", partial(body.__setitem__, i, ast.Pass()))
        for i, child in enumerate(body if isinstance(body, list) else [])
        if not isinstance(child, kept)
        and not (isinstance(child, ast.AnnAssign) and child.value is None)
        and not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant))
        and not ast.unparse(child).startswith("__all__")
    ]


def _others(value: object) -> tuple[object, ...]:
    match value:
        case bool():
            return (not value,)
        case int():
            return (value + 1, value - 1)
        case float():
            return (value * 1.5 + 0.01,)
        case str():
            return ("" if value else "~",)
        case _:
            return ()


def _swap(node: ast.AST, ops: list[Any], i: int, op: ast.AST) -> Edit:
    new = SWAPS[type(op)]()
    return f"{ast.unparse(node)}: {_name(op)} -> {_name(new)}", partial(ops.__setitem__, i, new)


def _name(op: ast.AST) -> str:
    return type(op).__name__


def _negate(node: ast.If | ast.IfExp) -> None:
    node.test = ast.UnaryOp(ast.Not(), node.test)


def _become(node: ast.AST, other: ast.AST) -> None:
    node.__class__ = other.__class__
    node.__dict__ = dict(other.__dict__)


def _drop(items: list[Any], i: int) -> None:
    del items[i]


# -- trying them ------------------------------------------------------------------------------------------------------


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module of artifacts/ from changed source."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Take the mutated module, leave all others to Python."""
        del path, target
        if fullname != f"artifacts.{self.mutant.module}":
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
        pytest.main([*options, str(ROOT / "tests" / "artifacts" / f"test_{name}.py")]) == 0 for name in own_first
    )


def try_one(mutant: Mutant) -> bool:
    """Fork, try, and return whether the mutant survived."""
    child = os.fork()
    if child == 0:
        os._exit(0 if survives(mutant) else 1)
    return os.waitpid(child, 0)[1] == 0


def show(mutant: Mutant) -> bool:
    """Print a survivor with its excuse, as soon as it is known."""
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
    excused = [mutant for mutant in survivors if f"{mutant.module}: {mutant.change}" in EQUIVALENT]
    tried, lived = Counter(m.module for m in everything), Counter(m.module for m in survivors)
    for module in options.only:
        print(f"{module:<12} {tried[module]:>4} mutants, {lived[module]} survived")
    print(f"{len(everything)} mutants, {len(survivors)} survived, {len(excused)} of these make no difference")
    if options.json:
        names = {m.name: EQUIVALENT.get(f"{m.module}: {m.change}") for m in survivors}
        options.json.write_text(json.dumps({"mutants": tried, "survivors": names}, indent=1) + "\n")
    sys.exit(len(survivors) > len(excused))


def _preload() -> None:
    """Import what every child needs once, but none of the modules that are changed."""
    for name in ("hypothesis", "pytest", "scipy.optimize", "scipy.stats", "artifacts.metrics"):
        importlib.import_module(name)


if __name__ == "__main__":
    main()
