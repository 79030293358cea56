"""The names that other people's programs import. Renaming one needs a changelog entry."""

from collections.abc import Callable
from typing import Any

import pytest

import lungfish as lf
from lungfish.core.errors import MissingExtraError

NAMES = {
    "Advanced",
    "Arch",
    "Bundle",
    "BundleResult",
    "EpochEnded",
    "Finetune",
    "Full",
    "LungfishError",
    "Prediction",
    "Preprocessing",
    "Recipe",
    "Logged",
    "StageEnded",
    "StageStarted",
    "StopToken",
    "StoppedError",
    "TrainResult",
    "Warned",
    "__version__",
    "arch",
    "build",
    "compare",
    "cost",
    "describe",
    "evaluate",
    "explain",
    "export",
    "export_weights",
    "import_weights",
    "list_models",
    "list_weights",
    "load",
    "predict",
    "slim",
    "solve",
    "train",
    "transforms",
}


def test_names() -> None:
    assert set(lf.__all__) == NAMES
    assert dir(lf) == sorted(NAMES)


def test_each_can_be_had() -> None:
    for name in NAMES - {"__version__"}:
        assert callable(getattr(lf, name)), name


def test_no_other_name() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'create_model'; use lungfish\.build$"):
        _ = lf.create_model  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"no attribute 'tarin'$"):
        _ = lf.tarin  # type: ignore[attr-defined]


def test_no_room_hides_a_name(fresh_python: Callable[..., Any]) -> None:
    code = """
import importlib, pkgutil
import lungfish
for found in pkgutil.walk_packages(lungfish.__path__, "lungfish."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
import types
result = [name for name in lungfish.__all__ if isinstance(getattr(lungfish, name), types.ModuleType)]
"""
    assert fresh_python(code) == []


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lf._PUBLIC, "needs_more", ("no_such_package.module", "name"))
    with pytest.raises(
        MissingExtraError, match=r"lungfish.needs_more needs no_such_package.*\n.*pip install .*\[train\]"
    ):
        _ = lf.needs_more  # type: ignore[attr-defined]


def test_methods_of_a_bundle() -> None:
    public = {name for name in dir(lf.Bundle) if not name.startswith("_")}
    assert public == {"labels", "predict", "predict_each", "probabilities", "session"}
