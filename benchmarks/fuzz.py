"""Damaged files of every format, read as a stranger's: each must be read or refused, quickly and in little memory.

Run: python benchmarks/fuzz.py [DATA] [--formats NAME ...] [--cases 10000] [--minutes-left N] [--jobs 2] [--work DIR]
     python benchmarks/fuzz.py --case FORMAT NUMBER

A case passes if it is read or a `LungfishError` refuses it, within 2 s and 1 s for each 50 million pixels that it
declares, and within 256 MB and 4 bytes for each declared pixel (16 of a WebP and 12 of an AVIF, which Pillow's decoders
hold). Another exception, the end of the process, or more than that, is a finding: its file is kept in `--work` (fastest
on a RAM disk) with a traceback, and the exit code is 1. Since a machine may be busy, seconds are those of the CPU, or a
fifth of those by the clock if that is more; a case above a limit is run twice more, and its least figures count.

Cases run in a process for each format, 2,500 at a time. What case N is depends on the seed, its number and the sound
files alone, so one command shows it again. fuzz.json beside this file says how far each format got; the same command
resumes there, and `--cases` takes it further. Another seed, other sound files or another source begin again. DATA
(default ../shared/data) holds `clothing-small`. Needs the `dev` install, and Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from fuzz_formats import FORMATS
from fuzz_worker import PASSED, Outcome, Reader, load_seeds, make_case, read_cases, write_seeds
from lungfish.core.hashing import sha256_file, sha256_json
from lungfish.runtime.measure import machine, versions

HERE = Path(__file__).parent
RECORD = HERE / "fuzz.json"
SOURCE = HERE.parent / "src" / "lungfish"
LISTED, PRINTED = 20, 3  # findings of one kind: numbers in the record, lines while it runs
SLICE = 2500  # cases of one process: what it leaks shows, and stays small
HANGS_S = 60.0  # by the clock: three runs of the largest picture on a busy machine
MOST_BYTES = 3 << 30  # of a process: then it is ended, before the machine suffers
PACKAGES = ("lungfish", "numpy", "onnxruntime", "pillow", "pyarrow", "safetensors", "torch", "h5py")
# Memory that is freed goes back to the system, so that each case is measured by itself.
MEMORY = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "ARROW_DEFAULT_MEMORY_POOL": "system"}
MEMORY["OMP_NUM_THREADS"] = "1"


@dataclass
class Tally:
    """Counts of a format; `identity` is of everything that its cases depend on."""

    identity: str
    cases: int = 0
    accepted: int = 0
    refused: int = 0
    findings: dict[str, list[int]] = field(default_factory=dict)  # by what is wrong, the first numbers
    found: int = 0
    slowest: tuple[float, int] = (0.0, -1)
    largest: tuple[int, int] = (0, -1)
    seconds: float = 0.0

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Tally:
        return cls(**row | {"slowest": tuple(row["slowest"]), "largest": tuple(row["largest"])})

    def add(self, outcome: Outcome) -> None:
        self.cases = outcome.number + 1
        self.slowest = max(self.slowest, (round(outcome.seconds, 3), outcome.number))
        self.largest = max(self.largest, (outcome.bytes, outcome.number))
        if outcome.status == "accepted":
            self.accepted += 1
        elif outcome.status == "refused":
            self.refused += 1
        else:
            self.found += 1
            self.findings.setdefault(outcome.status, []).append(outcome.number)
            del self.findings[outcome.status][LISTED:]


class Slice:
    """Runs cases of a format in a process of its own, and in another one if that ends."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name, self.options = name, options

    def run(self, tally: Tally, stop: int) -> None:
        began = time.monotonic()
        while tally.cases < stop and time.time() < self.options.deadline:
            self._run_process(tally, stop)
        tally.seconds = round(tally.seconds + time.monotonic() - began, 1)

    def _run_process(self, tally: Tally, stop: int) -> None:
        spawning = multiprocessing.get_context("spawn")
        pipe, theirs = spawning.Pipe(duplex=False)
        numbers = range(tally.cases, stop)
        process = spawning.Process(
            target=read_cases, args=(self.name, self.options.work, self.options.seed, numbers, theirs)
        )
        process.start()
        theirs.close()
        with contextlib.suppress(EOFError):
            pipe.recv()  # its imports are done
        ended = ""
        last = time.monotonic()
        while not ended and tally.cases < stop and time.time() < self.options.deadline:
            try:
                if pipe.poll(0.2):
                    self._add(tally, pipe.recv())
                    last = time.monotonic()
                elif time.monotonic() - last > HANGS_S:
                    ended = "hung"
                elif _resident(process.pid) > MOST_BYTES:
                    ended = "large"
            except EOFError:
                process.join()
                code = process.exitcode or 0
                ended = f"crashed, {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        process.kill()
        process.join()
        if ended:
            self._add(tally, Outcome(tally.cases, ended, time.monotonic() - last))

    def _add(self, tally: Tally, outcome: Outcome) -> None:
        tally.add(outcome)
        if outcome.status in PASSED:
            return
        folder = self.options.work / "findings"
        folder.mkdir(exist_ok=True)
        sound, _ = load_seeds(self.name, self.options.work)
        file = folder / f"{self.name}-{outcome.number}{Path(FORMATS[self.name].file).suffix}"
        file.write_bytes(make_case(self.name, outcome.number, self.options.seed, sound))
        file.with_suffix(".txt").write_text(f"{outcome.status}\n{outcome.detail}")
        if len(tally.findings[outcome.status]) <= PRINTED:
            print(f"{self.name} {shown(outcome)}", flush=True)


def shown(outcome: Outcome) -> str:
    """An outcome on one line, with the last line of its traceback."""
    last = (outcome.detail.strip().splitlines() or [""])[-1][:150]
    return f"{outcome.number}: {outcome.status}, {outcome.seconds:.2f} s, {outcome.bytes / 1e6:.0f} MB {last}"


def _resident(pid: int | None) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def main() -> None:
    options = parsed()
    os.environ.update(MEMORY)
    options.work.mkdir(parents=True, exist_ok=True)
    if options.case:
        show_case(options)
        return
    code = sha256_json([sha256_file(path) for path in (*sorted(SOURCE.rglob("*.py")), *sorted(HERE.glob("fuzz*.py")))])
    known = json.loads(options.record.read_text()).get("formats", {}) if options.record.exists() else {}
    tallies = {name: Tally.from_json(row) for name, row in known.items() if name in FORMATS}
    for name in options.formats:
        identity = sha256_json([options.seed, code, write_seeds(name, options.data, options.work)])
        if name not in tallies or tallies[name].identity != identity:
            tallies[name] = Tally(identity)
    for stop in (*range(SLICE, options.cases, SLICE), options.cases):
        waiting = [name for name in options.formats if tallies[name].cases < stop]
        with ThreadPoolExecutor(options.jobs) as pool:
            for _ in pool.map(partial(run_slice, options, tallies, stop), waiting):
                write_record(options, tallies)
    print_table({name: tallies[name] for name in options.formats})
    if any(tallies[name].found for name in options.formats):
        raise SystemExit(1)


def run_slice(options: argparse.Namespace, tallies: dict[str, Tally], stop: int, name: str) -> None:
    Slice(name, options).run(tallies[name], stop)


def show_case(options: argparse.Namespace) -> None:
    """Read one case in this process, and say what became of it and where its file is."""
    name, number = options.case[0], int(options.case[1])
    write_seeds(name, options.data, options.work)
    os.environ["LUNGFISH_CACHE"] = str(options.work / "running" / f"{name}-cache")
    reader = Reader(name, options.work, options.seed)
    outcome = reader.outcome(number)
    print(outcome.detail, f"{name} {shown(outcome)}", reader.folder / FORMATS[name].file, sep="\n")


def write_record(options: argparse.Namespace, tallies: dict[str, Tally]) -> None:
    report: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "packages": versions(PACKAGES),
        "seed": options.seed,
        "formats": {name: asdict(tally) for name, tally in sorted(tallies.items())},
    }
    options.record.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def print_table(tallies: dict[str, Tally]) -> None:
    titles = ("cases", "refused", "accepted", "found", "slowest", "largest", "ms a case")
    print(f"{'format':12}" + "".join(f"{title:>10}" for title in titles))
    for name, tally in tallies.items():
        each = 1000 * tally.seconds / max(tally.cases, 1)
        slowest, largest = f"{tally.slowest[0]:.2f} s", f"{tally.largest[0] / 1e6:.0f} MB"
        counts = f"{tally.cases:10,}{tally.refused:10,}{tally.accepted:10,}{tally.found:10,}"
        print(f"{name:12}{counts}{slowest:>10}{largest:>10}{each:10.1f}")
        for status, numbers in tally.findings.items():
            print(f"    {status}: {', '.join(map(str, numbers))}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS), metavar="NAME")
    parser.add_argument("--cases", type=int, default=10_000, help="of each format")
    parser.add_argument("--minutes-left", type=float, default=float("inf"), help="end before that")
    parser.add_argument("--jobs", type=int, default=2, help="formats at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "lungfish-fuzz")
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--case", nargs=2, metavar=("FORMAT", "NUMBER"), help="show one case again")
    options = parser.parse_args()
    options.deadline = time.time() + 60 * options.minutes_left
    options.work = options.work.absolute()
    return options


if __name__ == "__main__":
    main()
