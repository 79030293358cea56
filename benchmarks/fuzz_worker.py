"""The process that reads damaged files of one format, and what it measures of each."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from fuzz_formats import FORMATS, declared_pixels
from fuzz_mutations import mutate
from fuzz_seeds import Seeds
from lungfish.core.errors import LungfishError
from lungfish.core.hashing import sha256_bytes, sha256_json

SECONDS, PIXELS_A_SECOND = 2.0, 50e6
BYTES = 256_000_000
PATIENCE = 5  # by the clock it may take so many times longer: other work is in the way
ADDRESS_SPACE = 24 << 30
PASSED = ("accepted", "refused")


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Args:
        number: Of the case.
        status: `accepted`, `refused`, or what is wrong.
        seconds: That it computed, or a fifth of what it took by the clock if that is more.
        bytes: By which it raised the memory of its processes.
        detail: Traceback, for a person.
    """

    number: int
    status: str
    seconds: float = 0.0
    bytes: int = 0
    detail: str = ""


def make_case(name: str, number: int, seed: int, sound: dict[str, bytes]) -> bytes:
    """The damaged file that a number stands for."""
    chance = Random(f"{seed} {name} {number}")
    names = sorted(sound)
    data, other = (sound[chance.choice(names)] for _ in range(2))
    return mutate(data, other, FORMATS[name].structured, chance)


class Reader:
    """Reads cases of one format in this process and measures them."""

    def __init__(self, name: str, work: Path, seed: int) -> None:
        self.name, self.seed, self.format = name, seed, FORMATS[name]
        self.sound, around = load_seeds(name, work)
        self.folder = work / "running" / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for file, data in around.items():
            (self.folder / file).write_bytes(data)
        for data in self.sound.values():  # what is imported late is imported now
            self.run(-1, data)

    def outcome(self, number: int) -> Outcome:
        data = make_case(self.name, number, self.seed, self.sound)
        runs = [self.run(number, data)]
        while len(runs) < 3 and runs[-1].status in ("slow", "large"):
            runs.append(self.run(number, data))
        return min(runs, key=lambda run: (run.status in ("slow", "large"), run.seconds))

    def run(self, number: int, data: bytes) -> Outcome:
        path = self.folder / self.format.file
        path.write_bytes(data)
        pixels = declared_pixels(data) if self.format.is_picture else 0
        before, began, computed, detail = _memory("VmRSS", reset=True), time.perf_counter(), _computed_s(), ""
        try:
            self.format.read(path)
            status = "accepted"
        except LungfishError:
            status = "refused"
        except BaseException as error:  # noqa: BLE001  a panic of Rust derives from it
            status, detail = f"raised {type(error).__name__}", traceback.format_exc()
        by_the_clock = time.perf_counter() - began
        seconds = max(min(_computed_s() - computed, by_the_clock), by_the_clock / PATIENCE)
        grown = max(_memory("VmHWM") - before, 0)
        if status in ("accepted", "refused"):
            if seconds > SECONDS + pixels / PIXELS_A_SECOND:
                status = "slow"
            elif grown > BYTES + self.format.bytes_a_pixel * pixels:
                status = "large"
        return Outcome(number, status, seconds, grown, detail)


def _children() -> list[str]:
    """Process ids."""
    found: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has ended
            found += (task / "children").read_text().split()
    return found


def _computed_s() -> float:
    """CPU seconds of this process and its children, those that have ended included."""
    times = os.times()
    total = times.user + times.system + times.children_user + times.children_system
    for pid in _children():
        with contextlib.suppress(OSError, IndexError):
            row = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
            total += (int(row[11]) + int(row[12])) / os.sysconf("SC_CLK_TCK")
    return total


def _memory(row: str, *, reset: bool = False) -> int:
    """Bytes of this process and its children: VmRSS, or VmHWM, the most since the last reset."""
    total = 0
    for pid in ("self", *_children()):
        with contextlib.suppress(OSError, IndexError):  # a child that has ended
            text = Path("/proc", pid, "status").read_text()
            total += int(text.partition(f"{row}:")[2].split(maxsplit=1)[0]) * 1024
            if reset:
                Path("/proc", pid, "clear_refs").write_text("5")
    return total


def read_cases(name: str, work: Path, seed: int, numbers: range, pipe: Connection) -> None:
    """The process of a format: sends an `Outcome` for each number."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with (work / f"{name}.log").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ["LUNGFISH_CACHE"] = str(work / "running" / f"{name}-cache")
    reader = Reader(name, work, seed)
    pipe.send("ready")
    for number in numbers:
        pipe.send(reader.outcome(number))


def write_seeds(name: str, data: Path, work: Path) -> str:
    """Make a format's sound files, unless they are there; their hash."""
    folder = work / "seeds" / name
    if not (folder / "around").is_dir():
        created: Seeds = FORMATS[name].seeds(data)
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "files").mkdir(parents=True)
        for place, files in (("files", created.files), ("stage", created.around)):
            (folder / place).mkdir(exist_ok=True)
            for file, content in files.items():
                (folder / place / file).write_bytes(content)
        (folder / "stage").rename(folder / "around")
    return sha256_json([[file, sha256_bytes(content)] for file, content in sorted(load_seeds(name, work)[0].items())])


def load_seeds(name: str, work: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """A format's sound files, and those beside them."""
    folder = work / "seeds" / name
    files, around = ({p.name: p.read_bytes() for p in (folder / part).iterdir()} for part in ("files", "around"))
    return files, around
