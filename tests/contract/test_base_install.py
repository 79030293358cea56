"""The base install, without torch and what else training needs, reads photos and runs bundles."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lungfish.core.hashing import sha256_bytes

Fresh = Callable[..., Any]
TORCH_FREE_ROOMS = (
    *("core", "architecture", "costs", "runtime", "exporters", "quantization", "evaluation", "pictures", "data", "cli"),
)

COMMAND = """
import contextlib, io, sys
from lungfish.cli.app import run
out = io.StringIO()
with contextlib.redirect_stdout(out):
    code = run(sys.argv[1:])
result = {"code": code, "out": out.getvalue(), "modules": sorted({name.partition(".")[0] for name in sys.modules})}
"""


def test_every_module_imports(fresh_python: Fresh) -> None:
    code = f"""
import importlib, pkgutil
result = []
for room in map(importlib.import_module, {[f"lungfish.{room}" for room in TORCH_FREE_ROOMS]}):
    result += [found.name for found in pkgutil.walk_packages(room.__path__, f"{{room.__name__}}.")]
for name in result:
    importlib.import_module(name)
"""
    found = fresh_python(code, base_install=True)
    assert {name.split(".")[1] for name in found} == set(TORCH_FREE_ROOMS)


WORKFLOWS = (
    *("predict", "evaluate", "explain", "slim", "models", "describe", "compare", "scale", "doctor"),
    *("weights.list", "weights.names", "weights.search", "weights.show", "weights.licenses"),
)


def test_workflows_import(fresh_python: Fresh) -> None:
    names = [f"lungfish.workflows.{workflow}" for workflow in WORKFLOWS]
    code = f"import importlib\nresult = [importlib.import_module(name).__name__ for name in {names}]"
    assert fresh_python(code, base_install=True) == names


def test_predict(fresh_python: Fresh, color_bundle: Path, color_photos: Path) -> None:
    outcome = fresh_python(COMMAND, "predict", color_bundle, color_photos / "red" / "0.png", base_install=True)
    assert outcome["code"] == 0
    assert "\tred\t" in outcome["out"]


def test_evaluate(fresh_python: Fresh, color_bundle: Path, color_photos: Path) -> None:
    outcome = fresh_python(COMMAND, "evaluate", color_bundle, color_photos, base_install=True)
    assert outcome["code"] == 0
    assert "1.0000" in outcome["out"]


def test_slim(fresh_python: Fresh, color_bundle: Path, tmp_path: Path) -> None:
    outcome = fresh_python(COMMAND, "slim", color_bundle, "--out", tmp_path / "slim", base_install=True)
    assert outcome["code"] == 0
    assert sorted(path.name for path in (tmp_path / "slim").iterdir()) == ["bundle.json", "labels.txt", "model.onnx"]


def test_doctor_says_what_is_not_installed(fresh_python: Fresh) -> None:
    outcome = fresh_python(COMMAND, "doctor", base_install=True)
    assert f"needed to fine-tune: {sys.executable} -m pip install " in outcome["out"]


NETWORKS = (
    ("models",),
    ("describe", "efficientnet_b4", "--json"),
    ("describe", "mobilenet_v2", "--plot", "v2.svg"),
    ("scale", "efficientnet_b0", "--macs", "600e6", "--out", "a.json"),
    ("compare", "mobilenet_v1", "efficientnet_b0:phi=0.5", "--plot", "p.svg"),
    ("weights", "list"),
    ("weights", "search", "lite0"),
    ("weights", "show", "mobilenet_v2.ra_in1k"),
    ("weights", "show", "efficientnet_lite0.in1k"),
)


SEVERAL = """
import contextlib, io, json, sys
from lungfish.cli.app import run
out, codes = io.StringIO(), []
with contextlib.redirect_stdout(out):
    for arguments in json.loads(sys.argv[1]):
        codes.append(run(arguments))
result = {"codes": codes, "modules": sorted({name.partition(".")[0] for name in sys.modules})}
"""


def test_networks_need_nothing_of_training(fresh_python: Fresh, train_modules: tuple[str, ...]) -> None:
    for base_install in (True, False):
        outcome = fresh_python(SEVERAL, json.dumps(NETWORKS), base_install=base_install)
        assert dict(zip(map(" ".join, NETWORKS), outcome["codes"], strict=True)) == dict.fromkeys(
            map(" ".join, NETWORKS), 0
        )
        assert not set(train_modules) & set(outcome["modules"])


def test_licenses_of_a_bundle(
    fresh_python: Fresh, color_bundle: Path, rewrite: Callable[..., None], train_modules: tuple[str, ...]
) -> None:
    (color_bundle / "NOTICE").write_bytes(b"by someone\n")
    row = {"sha256": sha256_bytes(b"by someone\n"), "bytes": 11}
    rewrite(color_bundle, lambda manifest: manifest["files"].update(NOTICE=row))
    arguments = ("weights", "licenses", color_bundle)
    assert fresh_python(COMMAND, *arguments, base_install=True)["out"] == "by someone\n"
    assert not set(train_modules) & set(fresh_python(COMMAND, *arguments)["modules"])


TRAIN = r"pip install .*\[train\]"  # from wherever Lungfish was installed
FETCHING = (
    ("weights", "fetch", "mobilenet_v2.ra_in1k"),
    ("weights", "search", "lite0", "--online"),
    ("predict", "mobilenet_v2.ra_in1k", "photo.jpg"),
)


@pytest.mark.parametrize("arguments", FETCHING, ids=" ".join)
def test_fetching_names_its_extra(fresh_python: Fresh, arguments: tuple[str, ...]) -> None:
    code = COMMAND.replace("redirect_stdout(out)", "redirect_stdout(out), contextlib.redirect_stderr(out)")
    assert re.search(TRAIN, fresh_python(code, *arguments, base_install=True)["out"])


def test_latency_and_yardsticks_name_their_extras(fresh_python: Fresh) -> None:
    for more, extra in (("--latency", "torch"), ("torchvision:resnet50", "torch,compare")):
        outcome = fresh_python(COMMAND, "compare", "mobilenet_v1", more, "--json", base_install=True)
        assert outcome["code"] == 3
        assert re.search(rf"pip install .*\[{extra}\]", outcome["out"])


def test_explaining_names_its_extras(fresh_python: Fresh, color_bundle: Path, color_photos: Path) -> None:
    outcome = fresh_python(
        COMMAND, "explain", color_bundle, color_photos / "red" / "0.png", "--json", base_install=True
    )
    assert outcome["code"] == 3
    assert re.search(r"pip install .*\[train,explain\]", outcome["out"])


def test_python(fresh_python: Fresh, color_bundle: Path, color_photos: Path) -> None:
    code = """
import sys
import lungfish as lf
result = [row.label for row in lf.load(sys.argv[1]).predict(sys.argv[2:])]
"""
    paths = [color_photos / color / "0.png" for color in ("blue", "red")]
    assert fresh_python(code, color_bundle, *paths, base_install=True) == ["blue", "red"]


def test_loading_weights_names_its_extra(fresh_python: Fresh) -> None:
    code = """
import lungfish as lf
result = []
for name in ("efficientnet_lite0.in1k", "no/such/bundle"):
    try:
        lf.load(name)
    except lf.LungfishError as error:
        result.append(str(error))
"""
    weights, gone = fresh_python(code, base_install=True)
    assert re.search(TRAIN, weights)
    assert "no/such/bundle" in gone


def test_nothing_of_training_is_imported_even_where_it_is_installed(
    fresh_python: Fresh, color_bundle: Path, color_photos: Path, train_modules: tuple[str, ...]
) -> None:
    evaluating = ("evaluate", color_bundle, color_photos, "--baseline", color_bundle)
    comparing = ("compare", color_bundle, color_bundle, "--photos", color_photos)
    for arguments in (("predict", color_bundle, color_photos), evaluating, comparing):
        outcome = fresh_python(COMMAND, *arguments)
        assert outcome["code"] == 0
        assert not set(train_modules) & set(outcome["modules"])
    code = """
import sys
import lungfish as lf
lf.load(sys.argv[1]).predict(sys.argv[2])
lf.Recipe(finetune=lf.Finetune(), full=lf.Full())
result = sorted({name.partition(".")[0] for name in sys.modules})
"""
    assert not set(train_modules) & set(fresh_python(code, color_bundle, color_photos / "red" / "0.png"))


def test_help_and_version_import_nothing_heavy(fresh_python: Fresh, train_modules: tuple[str, ...]) -> None:
    heavy = {*train_modules, "numpy", "PIL", "onnxruntime", "rich"}
    for option in ("--help", "--version"):
        outcome = fresh_python(COMMAND, option)
        assert outcome["code"] == 0
        assert not heavy & set(outcome["modules"])


def test_importing_lungfish_imports_nothing_heavy(fresh_python: Fresh, train_modules: tuple[str, ...]) -> None:
    modules = fresh_python("import sys, lungfish\nresult = [name.partition('.')[0] for name in sys.modules]")
    assert not {*train_modules, "numpy", "PIL", "onnxruntime", "rich", "typer"} & set(modules)


def test_an_architecture_knows_no_costs(fresh_python: Fresh) -> None:
    """Nor anything else above it, not even by a name looked up when it is used, which the import linter cannot see."""
    code = """
import sys
from lungfish.architecture import Arch, lower, parse_arch
lower(Arch.from_json(parse_arch("efficientnet_b0:width=0.5").scale(phi=1).to_json()))
result = [name.split(".")[1] for name in sys.modules if name.startswith("lungfish.")]
"""
    assert set(fresh_python(code)) == {"architecture", "core"}


def test_training_names_its_extra(fresh_python: Fresh, color_photos: Path) -> None:
    outcome = fresh_python(COMMAND, "train", color_photos, "--json", base_install=True)
    assert outcome["code"] == 3
    assert '"missing_extra"' in outcome["out"]
    assert re.search(TRAIN, outcome["out"])
    code = """
import lungfish as lf
try:
    lf.train("photos")
except lf.LungfishError as error:
    result = error.to_json()
"""
    assert fresh_python(code, base_install=True)["error"]["code"] == "missing_extra"
