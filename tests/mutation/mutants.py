"""Small faults to plant in the source: what a mutant is, where one can be made, and a seeded sample of them."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMPARISONS = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
OPERATORS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "*", ast.Pow: "*"}
SKIPPED = (ast.Raise, ast.Assert, ast.AnnAssign, ast.arguments)  # messages, invariants, types, defaults


@dataclass(frozen=True, order=True)
class Mutant:
    """One change of one file.

    Args:
        file: Path below the source folder, with slashes.
        start: Offset of the first byte to replace.
        end: Offset after the last.
        text: What to write there.
        lines: First and last line of what is replaced, from 1.
        what: The change, for a reader.
    """

    file: str
    start: int
    end: int
    text: str
    lines: tuple[int, int]
    what: str

    def applied(self, source: bytes) -> bytes:
        """Return the source with the fault."""
        return source[: self.start] + self.text.encode() + source[self.end :]


def sample(folder: Path, packages: list[str], count: int, seed: int) -> list[Mutant]:
    """Return `count` mutants spread evenly over packages of `folder`, chosen by `seed` alone."""
    chosen = []
    for number, package in enumerate(packages):
        sites = [
            mutant
            for path in sorted((folder / package).rglob("*.py"))
            for mutant in mutants_of(path.read_bytes(), path.relative_to(folder).as_posix())
        ]
        share = count // len(packages) + (number < count % len(packages))
        chosen += random.Random(f"{seed} {package}").sample(sites, min(share, len(sites)))
    return chosen


def mutants_of(source: bytes, file: str) -> list[Mutant]:
    """Return every mutant of a file, in the order of the source; only code inside functions is changed."""
    offsets = [0]
    for line in source.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    found = []
    for node, text in _changes(ast.parse(source)):
        start = offsets[node.lineno - 1] + node.col_offset
        end = offsets[node.end_lineno - 1] + node.end_col_offset
        old = " ".join(source[start:end].decode().split())
        what = f"{old} -> {text}"
        found.append(Mutant(file, start, end, text, (node.lineno, node.end_lineno), what))
    return sorted(found)


def _changes(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield a node inside a function, and the text that replaces it."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inner = {id(below) for function in functions for below in ast.walk(function) if below is not function}
    for function in functions:
        if id(function) not in inner:
            for statement in function.body:
                yield from _below(statement)


def _below(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    if isinstance(node, SKIPPED):
        return
    yield from _of(node)
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    if not is_docstring:
        for name, value in ast.iter_fields(node):
            if name not in ("decorator_list", "returns", "annotation"):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        yield from _below(child)


def _of(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            yield node, f"({ast.unparse(left)} {COMPARISONS[type(op)]} {ast.unparse(right)})"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS and not (_is_text(left, right)):
            yield node, f"({ast.unparse(left)} {OPERATORS[type(op)]} {ast.unparse(right)})"
        case ast.BoolOp(op=op, values=values):
            word = " or " if isinstance(op, ast.And) else " and "
            yield node, "(" + word.join(f"({ast.unparse(value)})" for value in values) + ")"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.Constant(value=bool(value)):
            yield node, str(not value)
        case ast.Constant(value=int() | float()):
            yield node, f"({node.value!r} + 1)"
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield test, f"(not ({ast.unparse(test)}))"
        case ast.Return(value=ast.expr()):
            yield node, "return None"
        case ast.Expr(value=ast.Call()):
            yield node, "pass"


def _is_text(*nodes: ast.expr) -> bool:
    return any(isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str) for node in nodes)
