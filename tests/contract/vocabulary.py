"""Hold the identifiers that this project defines against the glossary.

Run: python tests/contract/vocabulary.py docs/glossary.md src tests benchmarks

The glossary's first table lists words to avoid, its second one exceptions: an identifier, the files that may have it,
and the reason. An identifier is split at underscores and capitals: `gathered_rows` and `GatheredRows` both contain the
word `gathered`. Only what is defined here is checked: functions, classes, arguments, variables, attributes, modules.
Names of other libraries are used freely, and names of test functions, which are sentences, are not checked.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
CODE = re.compile(r"`([^`]+)`")


def main(glossary: str, *folders: str) -> int:
    """Print each identifier that has a word to avoid; return 1 if there is any, else 0."""
    avoided, exceptions = read_glossary(Path(glossary).read_text("utf-8"))
    found = 0
    for path in sorted(file for folder in folders for file in Path(folder).rglob("*.py")):
        for line, name in defined_names(path):
            for words, instead in avoided.items():
                if has_words(name, words) and not is_excepted(name, path, exceptions):
                    print(f"{path}:{line}: {name} has {'_'.join(words)!r}; say {instead}")
                    found += 1
    if found:
        print(f"{found} identifiers are not in the vocabulary: rename them, or add an exception to {glossary}")
    return int(found > 0)


def read_glossary(text: str) -> tuple[dict[tuple[str, ...], str], list[tuple[str, str]]]:
    """Return words to avoid, each with what to say instead, and exceptions: pairs of identifier and file pattern."""
    avoided: dict[tuple[str, ...], str] = {}
    exceptions: list[tuple[str, str]] = []
    columns: list[str] = []
    for row in (line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")):
        cells = [cell.strip() for cell in row]
        if cells[0] in ("say", "identifier"):
            columns = cells
        elif set(cells[0]) <= set("-: "):
            continue
        elif columns[0] == "say":
            avoided |= {tuple(split_words(name)): cells[0] for name in CODE.findall(cells[columns.index("not")])}
        else:
            assert cells[columns.index("why")], f"an exception without a reason: {row}"
            patterns = CODE.findall(cells[columns.index("files")])
            exceptions += [(name, pattern) for name in CODE.findall(cells[0]) for pattern in patterns]
    return avoided, exceptions


def defined_names(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and name of all that a file defines, its own name first."""
    yield 1, path.stem
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                if not name.startswith("test_"):
                    yield node.lineno, name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.alias(asname=str(name)):
                yield node.lineno, name


def split_words(name: str) -> list[str]:
    """Return the words of an identifier in lower case."""
    return [word.lower() for word in WORD.findall(name)]


def has_words(name: str, wanted: tuple[str, ...]) -> bool:
    """Return whether the words follow each other in the identifier."""
    words = split_words(name)
    return any(tuple(words[i : i + len(wanted)]) == wanted for i in range(len(words)))


def is_excepted(name: str, path: Path, exceptions: list[tuple[str, str]]) -> bool:
    """Return whether an exception names the identifier, or a pattern of it, in this file."""
    return any(fnmatch(name, pattern) and fnmatch(path.as_posix(), f"*{files}") for pattern, files in exceptions)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
