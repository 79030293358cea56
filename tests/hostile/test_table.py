"""docs/security.md says which attack is refused where, and each limit; here it is held against the code."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE, TESTS = ROOT / "src" / "lungfish", ROOT / "tests"
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ATTACKS = re.findall(r"^\| `(\S+\.py)` \| (.+?) \| `(\S+)` `(\w+)` \| `(\S+)` `(\w+)` \|$", PAGE, re.MULTILINE)
LIMITS = re.findall(r"^\| .+? \| ([\d,.]+)(?: (KiB|MiB|GiB))? \| `([\w.]+)` \|$", PAGE, re.MULTILINE)
ROWS = len(re.findall(r"^\| (?!what|reader)[^-]", PAGE, re.MULTILINE))
UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
PARSERS = re.compile(
    r"json\.loads|parse_object\(|tarfile\.open|ZipFile\(|open_zip\(|gzip\.open|Image\.open|h5py\.File|ParquetFile\("
    r"|safe_open|safetensors.*import load|torch\.load|[Uu]npickler|genops|csv\.reader|InferenceSession\(|tomllib\.loads"
    r"|np\.load\(|load_checkpoint\(|ParseFromString|FromString\("
)
# They read what Lungfish has written into its own cache or ships with, or what the user has written for it.
OWN = {
    "core/extras.py": "where Lungfish was installed from, which pip has written",
    "core/own_files.py": "lists of unpacked files, in the cache",
    "core/partial.py": "records of downloads, in the cache",
    "data/loading/growing_array.py": "activations, in the cache",
    "data/scan/row_store.py": "features, in the cache",
    "quantization/activations.py": "the graph that was just exported",
    "training/checkpoint.py": "checkpoints of a run, in the cache",
    "training/loop.py": "the journal of a run, in the cache",
    "training/recipe.py": "the user's recipe",
    "weights/catalogue/schema.py": "the catalogue, which is a part of the package",
    "weights/verify/keras_reference.py": "what its own process sends",
    "weights/verify/recorded.py": "recorded logits, which are a part of the package",
    "weights/store/store.py": "records of weights, in the cache",
    "job/stages/run.py": "notes of a run, in the cache",
}


def test_every_row_is_read() -> None:
    """A row that the patterns above do not match would be checked by nobody."""
    assert len(ATTACKS) + len(LIMITS) == ROWS
    assert len(ATTACKS) > 50
    assert len(LIMITS) > 25


@pytest.mark.parametrize(("reader", "attack", "module", "function", "file", "test"), ATTACKS)
def test_what_refuses_and_its_test_are_there(
    reader: str, attack: str, module: str, function: str, file: str, test: str
) -> None:
    assert (SOURCE / reader).is_file(), attack
    assert re.search(rf"^ *def {function}\(", (SOURCE / module).read_text(encoding="utf-8"), re.MULTILINE), attack
    assert re.search(rf"^def {test}\(", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE), attack


@pytest.mark.parametrize(("number", "unit", "constant"), LIMITS)
def test_limits_are_those_of_the_code(number: str, unit: str, constant: str) -> None:
    assert value_of(constant) == float(number.replace(",", "")) * UNITS[unit]


def value_of(constant: str) -> float:
    """The value that the source gives to `package.module.NAME` or `package.module.Class.name`; nothing is imported."""
    module, *names = re.split(r"\.(?=[A-Z])|(?<=Limits)\.", constant)
    body = ast.parse((SOURCE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")).body
    homes = {
        alias.name: node.module.removeprefix("lungfish.")
        for node in body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lungfish.")
        for alias in node.names
    }
    for name in names[:-1]:
        body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == name)
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == names[-1] for target in targets):
            others = {name.id for name in ast.walk(node.value) if isinstance(name, ast.Name)}
            known = {name: value_of(f"{homes.get(name, module)}.{name}") for name in others}
            return float(eval(ast.unparse(node.value), {"__builtins__": {}}, known))  # numbers and their operators
    raise AssertionError(f"{constant} is no constant of the code")


def test_no_reader_is_left_out() -> None:
    """A new module that parses something is in the table, or is known to read nothing of strangers."""
    parsing = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if PARSERS.search(path.read_text(encoding="utf-8"))
    }
    readers = {row[0] for row in ATTACKS}
    assert parsing - readers == set(OWN)
