"""Fingerprint of everything that a parity run proves; CI repeats the full run only when it has changed.

    python tests/parity/fingerprint.py              print it
    python tests/parity/fingerprint.py PAGE         exit 1 unless PAGE, written by `make parity`, holds it

It covers the modules of `ROOTS`, what they import (except `lungfish.core`: errors, files), the tests in this folder,
and the pinned versions of `PACKAGES`. It is a hash of the set of their top-level statements, as syntax trees without
docstrings and imports of our own modules. So it does not change when files are moved or renamed, when definitions are
reordered, or when comments and formatting are edited. It needs the standard library only.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
ROOTS = (
    *("lungfish.architecture", "lungfish.costs", "lungfish.nn", "lungfish.exporters.onnx_graph"),
    *("lungfish.weights.layouts", "lungfish.weights.convert.exchange", "lungfish.weights.formats.checkpoint"),
    *("lungfish.weights.verify.reference", "lungfish.weights.verify.keras_reference"),
)
LEFT_OUT = "lungfish.core"
PACKAGES = ("torch", "torchvision", "timm", "keras", "tensorflow-cpu", "h5py", "onnx", "onnxruntime", "numpy")
MARK = re.compile(r"^Fingerprint: `([0-9a-f]{64})`$", re.MULTILINE)


def fingerprint() -> str:
    """Return the fingerprint of this checkout, 64 hexadecimal digits."""
    files = [*proven_files(), *sorted(Path(__file__).parent.rglob("*.py"))]
    statements = {digest for file in files for digest in statement_digests(file.read_text(encoding="utf-8"))}
    pins = [f"{name}=={version}" for name, version in pinned_versions().items()]
    return hashlib.sha256("\n".join([*sorted(statements), *pins]).encode()).hexdigest()


def recorded(page: Path) -> str | None:
    """Return the fingerprint that `page` holds; None if there is none."""
    found = MARK.search(page.read_text(encoding="utf-8")) if page.is_file() else None
    return found[1] if found else None


def pinned_versions() -> dict[str, str]:
    """Return the version of each of `PACKAGES` in `constraints.txt`."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").replace("_", "-")
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", lines, re.MULTILINE))
    return {name: pins[name] for name in PACKAGES}


def proven_files() -> list[Path]:
    """Return the source files of `ROOTS` and of what they import, sorted.

    Raises:
        ValueError: A root does not exist: it was moved, and `ROOTS` was not.
    """
    modules = {_module_name(path): path for path in SOURCE.rglob("*.py")}
    todo: list[str] = []
    for root in ROOTS:
        found = [name for name in modules if name == root or name.startswith(f"{root}.")]
        if not found:
            raise ValueError(f"{root} does not exist; name its new place in ROOTS of {__file__}")
        todo += found
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in seen and name in modules and not f"{name}.".startswith(f"{LEFT_OUT}."):
            seen.add(name)
            todo += _imports(modules[name])
    return sorted(modules[name] for name in seen)


def _module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def _imports(path: Path) -> Iterator[str]:
    """Yield what a file imports: modules, and names that may be modules."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            if node.module != "lungfish":  # which names all modules, and holds no code
                yield node.module or ""


def statement_digests(source: str) -> Iterator[str]:
    """Yield a digest of each top-level statement that can change what is computed."""
    for statement in ast.parse(source).body:
        if not _is_left_out(statement):
            yield hashlib.sha256(_as_text(statement).encode()).hexdigest()


def _is_left_out(node: object) -> bool:
    """Whether a statement is a docstring, a list of exported names, or an import of one of our modules."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Import(names=names):
            return all(_is_ours(alias.name) for alias in names)
        case ast.ImportFrom(module=module, level=level):
            return level > 0 or _is_ours(module or "")
    return False


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "lungfish"


def _as_text(node: object) -> str:
    """Return a syntax tree as text, the same in every version of Python: fields that are empty are left out."""
    if isinstance(node, list):
        return "[" + " ".join(_as_text(each) for each in node if not _is_left_out(each)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, value) for name, value in ast.iter_fields(node) if name not in ("ctx", "kind", "type_comment")]
    inner = [f"{name}={_as_text(value)}" for name, value in fields if value is not None and value != []]
    return f"{type(node).__name__}({' '.join(inner)})"


if __name__ == "__main__":
    now = fingerprint()
    print(now)
    sys.exit(0 if len(sys.argv) < 2 or recorded(Path(sys.argv[1])) == now else 1)
