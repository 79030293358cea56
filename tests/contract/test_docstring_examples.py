"""The example in the docstring of a public function prints what it says it prints."""

from __future__ import annotations

import doctest

import pytest

import lungfish as lf

EXAMPLES = (  # the functions that have one; the others are to follow
    *("arch", "build", "compare", "cost", "describe", "explain", "export_weights", "import_weights"),
    *("list_models", "list_weights", "solve", "transforms"),
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str) -> None:
    found = doctest.DocTestFinder(recurse=False).find(getattr(lf, name), name, globs={})
    assert [test for test in found if test.examples], f"lungfish.{name} has no example"
    said: list[str] = []
    for test in found:
        doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=said.append)
    assert not said, "".join(said)
