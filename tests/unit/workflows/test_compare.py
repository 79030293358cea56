"""Networks side by side; yardsticks are counted on torchvision's own modules."""

from pathlib import Path

import pytest

import lungfish as lf
from lungfish.architecture import parse_arch
from lungfish.core.errors import UnknownNameError, UsageError
from lungfish.workflows.compare import Timing, compare

KEYS = {"name", "params", "macs", "peak_activation_bytes", "latency_ms"}
TINY = ("mobilenet_v1:width=0.25,resolution=32", "mobilenet_v1_full:width=0.5,resolution=96")


def test_counts() -> None:
    (row,) = compare(["mobilenet_v2"])
    assert row.to_json() == {
        "name": "mobilenet_v2",
        "params": 3_504_872,
        "macs": 300_774_272,
        "peak_activation_bytes": row.peak_activation_bytes,
        "latency_ms": None,
    }
    assert row.published is not None
    assert row.published.top1 == 71.8


def test_latency_is_measured_and_grows_with_the_work() -> None:
    small, large = compare(TINY, Timing(threads=1, seconds=0.2))
    assert small.latency_ms is not None
    assert large.latency_ms is not None
    assert 0 < small.latency_ms.p50 <= small.latency_ms.p95
    assert large.latency_ms.p50 > 2 * small.latency_ms.p50  # 130 times the multiply-adds
    assert small.latency_ms.threads == 1
    assert small.latency_ms.runtime.startswith("onnxruntime")
    assert set(small.to_json()) == KEYS
    assert set(small.to_json()["latency_ms"]) == {"p50", "p95", "runtime", "threads"}


@pytest.mark.parametrize("threads", [0, -1, 10**9])
def test_threads_that_make_no_sense(threads: int) -> None:
    with pytest.raises(UsageError, match="threads"):
        Timing(threads)


def test_the_picture_marks_what_has_no_accuracy_on_the_axis_only(tmp_path: Path) -> None:
    compare(["efficientnet_b0", "mobilenet_v2:width=0.6"], plot=tmp_path / "p.svg")
    svg = (tmp_path / "p.svg").read_text()
    assert svg.count('class="ring"') == svg.count('class="pin"') == 1
    assert "mobilenet_v2:width=0.6" in svg


@pytest.mark.parametrize(
    ("name", "px", "params", "macs"),
    [
        ("resnet50", 224, 25_557_032, 4_089_184_256),
        ("inception_v3", 299, 23_834_568, 5_713_216_096),  # without the auxiliary head
    ],
)
def test_yardsticks(name: str, px: int, params: int, macs: int) -> None:
    pytest.importorskip("torchvision")
    (row,) = compare([f"torchvision:{name}"])
    assert (row.resolution_px, row.params, row.macs) == (px, params, macs)
    assert row.peak_activation_bytes is None


def test_a_yardstick_counts_as_we_count() -> None:
    pytest.importorskip("torchvision")
    ours, theirs = compare(["mobilenet_v2", "torchvision:mobilenet_v2"])
    assert (ours.params, ours.macs) == (theirs.params, theirs.macs)


def test_a_yardstick_runs_in_the_same_runtime() -> None:
    pytest.importorskip("torchvision")
    pytest.importorskip("onnxscript")
    (row,) = compare(["torchvision:squeezenet1_1"], Timing(threads=1, seconds=0.1))
    assert row.latency_ms is not None
    assert row.latency_ms.runtime.startswith("onnxruntime")
    assert row.latency_ms.p50 > 0


def test_a_misspelt_yardstick() -> None:
    pytest.importorskip("torchvision")
    with pytest.raises(UnknownNameError) as caught:
        compare(["torchvision:resnet5"])
    assert "resnet50" in caught.value.hint


def test_networks_and_architectures_compare_like_names() -> None:
    arch = parse_arch("mobilenet_v1:width=0.25")
    rows = lf.compare("mobilenet_v1:width=0.25", arch, lf.build(arch, seed=0))
    assert rows == tuple(compare(["mobilenet_v1:width=0.25"])) * 3
    heading, line, *_ = repr(rows).splitlines()
    assert heading.split() == ["network", "px", "M", "params", "M", "MACs", "peak", "MB", "top-1"]
    assert line.split() == ["mobilenet_v1:width=0.25", "224", "0.47", "41.0", "1.20", "49.8"]
    with pytest.raises(UsageError, match="nothing to compare"):
        lf.compare()


def test_latency_stands_in_the_table() -> None:
    rows = lf.compare(TINY[0], latency=True, threads=1)
    assert rows[0].latency_ms is not None
    assert repr(rows).splitlines()[0].endswith("p50 ms  p95 ms")


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v3_large", "vgg16"])
def test_a_network_of_torchvision_is_pointed_to(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        compare(["mobilenet_v2", name])
    assert caught.value.hint.endswith(f"To compare with torchvision's: torchvision:{name}")
    with pytest.raises(UnknownNameError) as caught:
        compare(["mobilenet_v2", "ghostnet"])
    assert "torchvision" not in caught.value.hint
