"""Plant faults in the source and count how many the tests notice.

    python tests/mutation map  --out DIR    run the suite once, to learn which tests run which lines
    python tests/mutation run  --out DIR    run each mutant against the tests that run its lines

A mutant is killed when a test fails, and survives when none does within its time. Tests run cheapest first. Nothing in
the checkout is changed: mutants live in copies below DIR. Both commands need `pip install coverage`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from mutants import Mutant, sample

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
PACKAGES = ["core", "architecture", "costs", "exporters", "runtime", "data", "training", "weights", "deploy", "job"]
PACKAGES += ["quantization", "workflows"]
COUNT, SEED = 80, 0
TIME_S = 60  # for each mutant
PLANNED_S = 45  # of tests, as they took in the map
COPIES = 2  # mutants at once
IMPORTS = "numpy PIL torch torchvision onnx onnxruntime sklearn.linear_model scipy.stats jinja2 pyarrow safetensors"
COVERAGE = """[run]
data_file = {out}/coverage
source = {src}
parallel = true
context = ${{MUTATION_CONTEXT-}}
concurrency = thread, multiprocessing
patch = _exit
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["map", "run"])
    parser.add_argument("--out", type=Path, required=True, help="folder for the map, the copies and the result")
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout whose src and tests are used")
    arguments = parser.parse_args()
    out, root = arguments.out.absolute(), arguments.root.absolute()
    (write_map if arguments.command == "map" else run_mutants)(out, root)


def write_map(out: Path, root: Path) -> None:
    """Run the suite under coverage; leave what each test runs and costs in `out`."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    config = out / "coveragerc"
    config.write_text(COVERAGE.format(out=out, src=root / "src"))
    environment = os.environ | {
        "COVERAGE_PROCESS_START": str(config),
        "MUTATION_MAP": str(out),
        "MUTATION_CONTEXT": "",
        "PYTHONPATH": os.pathsep.join([str(root / "src"), str(HERE)]),
    }
    command = [sys.executable, "-m", "pytest", "-p", "coverage_contexts", "-n", "2", "--dist", "worksteal"]
    subprocess.run(command, cwd=root, env=environment, check=False)
    subprocess.run([sys.executable, "-m", "coverage", "combine", "--rcfile", config, "--quiet"], cwd=root, check=True)


class Map:
    """Which tests run a line, and what they cost."""

    def __init__(self, out: Path, src: Path) -> None:
        from coverage import CoverageData

        self.src = src
        self.data = CoverageData(str(out / "coverage"))
        self.data.read()
        self.seconds: dict[str, float] = defaultdict(float)
        self.users: dict[str, set[str]] = defaultdict(set)  # of a shared fixture
        failed = set()
        for file in out.glob("tests-*.jsonl"):
            for row in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
                self.seconds[row["test"]] += row["seconds"]
                if not row["passed"]:
                    failed.add(row["test"])
                for fixture in row["fixtures"]:
                    self.users[fixture].add(row["test"])
        for test in failed:
            self.seconds.pop(test)

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run any of the mutant's lines, cheapest first, within the planned time."""
        by_line = self.data.contexts_by_lineno(str(self.src / mutant.file))
        contexts = {each for line in range(mutant.lines[0], mutant.lines[1] + 1) for each in by_line.get(line, ())}
        tests = contexts | {user for context in contexts for user in self.users.get(context, ())}
        chosen, planned_s = [], 0.0
        for test in sorted(tests & self.seconds.keys(), key=lambda test: (self.seconds[test], test)):
            planned_s += self.seconds[test]
            if chosen and planned_s > PLANNED_S:
                break
            chosen.append(test)
        return chosen


def run_mutants(out: Path, root: Path) -> None:
    """Run the sample; print a row for each mutant and the share that was killed."""
    tests, chosen = Map(out, root / "src" / "lungfish"), sample(root / "src" / "lungfish", PACKAGES, COUNT, SEED)
    places: Queue[Path] = Queue()
    for number in range(COPIES):
        places.put(_copy(root, out / f"copy-{number}"))
    warm_up()
    rows = []
    with ThreadPoolExecutor(COPIES) as pool:
        for row in pool.map(lambda mutant: _judge(mutant, tests.tests_of(mutant), places), chosen):
            rows.append(row)
            print(f"{row['outcome']:9} {row['seconds']:5.1f} s {row['tests']:5} tests  {row['where']}  {row['what']}")
            sys.stdout.flush()
    (out / "mutants.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    for package in PACKAGES:
        of_it = [row for row in rows if row["where"].startswith(f"{package}/")]
        print(f"{package:13} {sum(row['outcome'] == 'killed' for row in of_it):3} of {len(of_it)} killed")
    print(f"killed {sum(row['outcome'] == 'killed' for row in rows)} of {len(rows)}")


def _copy(root: Path, place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    skipped = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(root, place / "main", ignore=skipped, symlinks=True)
    (place / "main" / ".venv").symlink_to(root / ".venv")
    if (root.parent / "shared").is_dir():
        (place / "shared").symlink_to(root.parent / "shared")
    return place / "main"


def warm_up() -> None:
    """Import what most tests need, once; each mutant is tested in a fork of this process, on one core."""
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in IMPORTS.split():
        __import__(name)


def _judge(mutant: Mutant, tests: list[str], places: Queue[Path]) -> dict[str, object]:
    place, started = places.get(), time.monotonic()
    file = place / "src" / "lungfish" / mutant.file
    source = file.read_bytes()
    try:
        file.write_bytes(mutant.applied(source))
        outcome = _outcome(place, tests) if tests else "no tests"
    finally:
        file.write_bytes(source)
        places.put(place)
    where = f"{mutant.file}:{mutant.lines[0]}"
    seconds = round(time.monotonic() - started, 1)
    return {"outcome": outcome, "seconds": seconds, "tests": len(tests), "where": where, "what": mutant.what}


def _outcome(place: Path, tests: list[str]) -> str:
    """Run the tests in a fork; `survived` if they pass, or are still passing when their time is over."""
    child = os.fork()
    if child == 0:
        os._exit(_run_tests(place, tests))
    end = time.monotonic() + TIME_S
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timed out"


def _run_tests(place: Path, tests: list[str]) -> int:
    os.setsid()
    os.chdir(place)
    os.environ |= {"PYTHONPATH": str(place / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(place / "src")]
    with (place.parent / "log").open("wb") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    import pytest

    class Chosen:
        """Leaves the chosen tests, in their order: not every name of a test can be given on a command line."""

        def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
            found = {item.nodeid: item for item in items}
            items[:] = [found[test] for test in tests]

    files = sorted({test.partition("::")[0] for test in tests})
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *files], [Chosen()]))


if __name__ == "__main__":
    main()
