import getpass
import json
import platform
import subprocess
import sys

import numpy as np

from lungfish.runtime.measure import machine, versions


def test_machine_is_described_without_names() -> None:
    described = machine()
    assert set(described) == {"cpu", "cores", "threads", "memory_bytes", "os", "python"}
    assert described["cpu"]
    assert 1 <= described["cores"] <= described["threads"]
    assert described["memory_bytes"] > 10**8
    text = json.dumps(described)
    assert platform.node() not in text or len(platform.node()) < 3
    assert f'"{getpass.getuser()}"' not in text


def test_peak_memory_counts_what_was_freed() -> None:
    code = """
import numpy as np
from lungfish.runtime.measure import peak_rss_bytes
before = peak_rss_bytes()
block = np.ones(before // 8 + 2**20)  # as large as all that was ever held
size = block.nbytes
del block
print(before, size, peak_rss_bytes())
"""
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, size, after = map(int, started.stdout.split())
    assert after >= size
    assert 10**7 < before < 10**11


def test_versions_of_what_is_installed() -> None:
    assert versions(("numpy", "no-such-package")) == {"numpy": np.__version__}


def test_peak_memory_is_not_that_of_the_parent() -> None:
    """On Linux a process inherits the peak of the one that starts it, as getrusage tells it."""
    held = np.ones(400 * 2**20, np.uint8)
    code = "from lungfish.runtime.measure import peak_rss_bytes; print(peak_rss_bytes())"
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 10**6 < int(started.stdout) < held.nbytes
