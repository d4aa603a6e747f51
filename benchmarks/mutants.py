"""Every small change to a module of the gate, as the source of the changed module.

One comparison, operator, number, string or condition is changed, or one argument, statement or rule removed.
Docstrings, annotations and asserts, which only people and the type checker read, are not changed.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

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


@dataclass(frozen=True)
class Mutant:
    """One change: its module, line and description, and the source of the changed module."""

    module: str
    line: int
    change: str
    source: str

    @property
    def name(self) -> str:
        """Place and change in one line."""
        return f"{self.module}:{self.line} {self.change}"


def mutants(module: str) -> Iterator[Mutant]:
    """Yield every mutant of one module of artifacts/gate/."""
    tree = ast.parse((ROOT / "artifacts" / "gate" / f"{module}.py").read_text())
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
