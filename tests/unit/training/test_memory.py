"""Memory that stays with the process between training steps."""

import resource
import sys
from pathlib import Path

import pytest
import torch

from lungfish.training import memory
from lungfish.training.memory import MIB, kept_memory

glibc_only = pytest.mark.skipif(memory._glibc() is None, reason="only glibc is told what to keep")


def faults_of_a_large_block() -> int:
    """Pages that the system has to find for a block that was freed a moment ago."""
    torch.empty(64 * MIB, dtype=torch.uint8).fill_(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(64 * MIB, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize() / MIB


@glibc_only
def test_a_freed_block_is_used_again_and_then_given_back() -> None:
    assert faults_of_a_large_block() > 16
    before = resident_mib()
    with kept_memory("cpu"):
        assert faults_of_a_large_block() < 16
        assert resident_mib() > before + 60
    assert resident_mib() < before + 8
    assert faults_of_a_large_block() > 16


@glibc_only
def test_an_error_gives_it_back_too() -> None:
    with pytest.raises(RuntimeError), kept_memory("cpu"):
        torch.empty(64 * MIB, dtype=torch.uint8).view(3)
    assert faults_of_a_large_block() > 16


def test_accelerators_and_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_glibc", lambda: pytest.fail("asked for glibc"))
    with kept_memory("cuda:0"):
        pass
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory._glibc() is None
    with kept_memory("cpu"):
        pass
