"""What tests of files of weights share."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

import lungfish as lf
from lungfish.core.errors import WeightsError


@pytest.fixture
def refused() -> Callable[..., None]:
    """That a file of weights is refused, without much memory, and that its folder then holds what it held."""

    def check(path: Path, arch: lf.Arch, source: str, why: str) -> None:
        before = sorted(path.parent.rglob("*"))
        tracemalloc.start()
        with pytest.raises(WeightsError, match=why):
            lf.import_weights(path, arch, source=source)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 200e6
        assert sorted(path.parent.rglob("*")) == before

    return check
