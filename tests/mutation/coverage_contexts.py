"""A pytest plugin that records which test runs which line, and what each test costs.

Lines that a shared fixture runs belong to every test that uses it, so such a fixture has a context of its own.
Processes that a test starts are measured too (coverage's `patch = subprocess`): they take the context from the
environment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

OUT = Path(os.environ["MUTATION_MAP"])
_contexts = [""]
_rows: list[dict[str, Any]] = []


def _enter(context: str) -> None:
    _contexts.append(context)
    _apply()


def _leave() -> None:
    _contexts.pop()
    _apply()


def _apply() -> None:
    os.environ["MUTATION_CONTEXT"] = _contexts[-1]
    if current := coverage.Coverage.current():
        current.switch_context(_contexts[-1])


def _name(fixture: Any) -> str:
    return f"fixture {fixture.baseid}::{fixture.argname}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _enter(item.nodeid)
    try:
        return (yield)
    finally:
        _leave()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any) -> Iterator[Any]:
    if fixturedef.scope == "function":
        return (yield)
    _enter(_name(fixturedef))
    try:
        return (yield)
    finally:
        _leave()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    report = yield
    if call.when in ("setup", "call"):
        definitions = item._fixtureinfo.name2fixturedefs.values()  # type: ignore[attr-defined]
        shared = sorted({_name(each) for found in definitions for each in found if each.scope != "function"})
        row = {"test": item.nodeid, "seconds": call.duration, "passed": report.passed, "fixtures": shared}
        _rows.append(row)
    return report


def pytest_sessionfinish() -> None:
    text = "".join(json.dumps(row) + "\n" for row in _rows)
    (OUT / f"tests-{os.getpid()}.jsonl").write_text(text, encoding="utf-8")
