"""TensorFlow's checkpoints by name. What is in them is read in tests/parity, where TensorFlow is installed."""

import sys
from pathlib import Path

import pytest

import lungfish as lf
from lungfish.core.errors import MissingExtraError, UsageError
from lungfish.weights.formats.checkpoint import files_of, read_checkpoint

V1 = lf.arch("mobilenet_v1")


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """The names of a checkpoint's files, with nothing in them."""
    for ending in (".index", ".data-00001-of-00002", ".data-00000-of-00002", ".meta"):
        (tmp_path / f"v1_0.5_224.ckpt{ending}").touch()
    (tmp_path / "v1_0.5_224.ckpt-8.data-00000-of-00001").touch()
    return tmp_path / "v1_0.5_224.ckpt"


def test_its_files(prefix: Path) -> None:
    names = [f"v1_0.5_224.ckpt{ending}" for ending in (".index", ".data-00000-of-00002", ".data-00001-of-00002")]
    assert [file.name for file in files_of(prefix)] == names
    assert files_of(prefix.with_name("v1_0.5_224.ckpt.index")) == files_of(prefix)


def test_files_that_are_absent(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*nowhere.net\.ckpt\.index"):
        read_checkpoint(tmp_path / "nowhere" / "net.ckpt.index", V1, "slim")
    with pytest.raises(UsageError, match=r"net\.ckpt is not a checkpoint of tpu; allowed: \.index"):
        read_checkpoint(tmp_path / "net.ckpt", V1, "tpu")
    with pytest.raises(UsageError, match=r"is not a checkpoint; allowed: \.pth, .*\.index"):
        read_checkpoint(tmp_path, V1)


def test_other_sources_have_other_files(prefix: Path) -> None:
    with pytest.raises(UsageError, match="is not a checkpoint of timm"):
        read_checkpoint(prefix, V1, "timm")


@pytest.mark.parametrize("ending", ["", ".index"])
def test_without_tensorflow(prefix: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with pytest.raises(MissingExtraError, match=r"needs tensorflow.*\n.*pip install .*\[tf\]"):
        lf.import_weights(Path(f"{prefix}{ending}"), V1, source="slim")
