"""Memory that stays with the process between training steps."""

import subprocess
import sys

import pytest

from lungfish.training import memory
from lungfish.training.memory import kept_memory

glibc_only = pytest.mark.skipif(memory._glibc() is None, reason="only glibc is told what to keep")


# In a process of its own: once a block could not be had, as in other tests, glibc moves a thread to another heap for
# good, and those heaps hold no large blocks.
PRELUDE = """
import resource
from pathlib import Path

import torch

from lungfish.training.memory import MIB, kept_memory


def faults():
    'Pages that the system has to find for a block like those that were freed before; small ones may come between.'
    found = []
    for _ in range(12):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.empty(64 * MIB, dtype=torch.uint8).fill_(1)
        found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return min(found)


def resident_mib():
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize() / MIB


"""


def run_fresh(script: str) -> None:
    subprocess.run([sys.executable, "-c", PRELUDE + script], check=True, timeout=120)


@glibc_only
def test_a_freed_block_is_used_again_and_then_given_back() -> None:
    run_fresh("""
assert faults() > 16
before = resident_mib()
with kept_memory("cpu"):
    assert faults() < 16
    assert resident_mib() > before + 60
assert resident_mib() < before + 8
""")


@glibc_only
def test_an_error_gives_it_back_too() -> None:
    run_fresh("""
before = faults() and resident_mib()
try:
    with kept_memory("cpu"):
        faults()
        assert resident_mib() > before + 60
        raise RuntimeError
except RuntimeError:
    assert resident_mib() < before + 8
""")


def test_accelerators_and_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_glibc", lambda: pytest.fail("asked for glibc"))
    with kept_memory("cuda:0"):
        pass
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory._glibc() is None
    with kept_memory("cpu"):
        pass
