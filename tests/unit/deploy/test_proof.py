import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from lungfish.core.errors import ParityError, UnreadablePhotoError
from lungfish.core.hashing import sha256_file
from lungfish.core.progress import Progress
from lungfish.deploy import proof as module
from lungfish.deploy.classifier import Classifier
from lungfish.deploy.proof import LabelledPhotos, Proof, artifact_rows, check_parity, choose_default, prove
from lungfish.evaluation.metrics import score
from lungfish.exporters.artifact import Artifact
from lungfish.runtime.artifact import ArtifactRow, Latency
from lungfish.runtime.preprocessing import Preprocessing

COLORS = {"red": 0, "lime": 1, "blue": 2}


def photos(colors: list[str]) -> LabelledPhotos:
    def encoded(color: str) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (12, 10), color).save(buffer, "PNG")
        return buffer.getvalue()

    return LabelledPhotos([partial(encoded, color) for color in colors], np.array([COLORS[color] for color in colors]))


@pytest.fixture
def artifacts(color_model: Callable[..., Any], tmp_path: Path) -> tuple[Artifact, Artifact]:
    """An `fp32` that is always right and a smaller `int8` that is always wrong."""
    fp32 = Artifact(tmp_path, "onnx", "fp32", ("model.onnx",))
    int8 = fp32.in_precision("int8")
    right, wrong = color_model(), color_model(sharpness=-0.02)
    right.producer_name = "some bytes more"
    fp32.path.write_bytes(right.SerializeToString())
    int8.path.write_bytes(wrong.SerializeToString())
    return fp32, int8


# ---- parity


def test_an_honest_export_passes(classifier: Classifier, pixels: np.ndarray, tmp_path: Path) -> None:
    assert 0 <= check_parity(classifier, classifier.write(tmp_path), pixels) <= 1e-5


def _tilted(values: np.ndarray) -> np.ndarray:
    rising = np.arange(values.size, dtype=np.float32).reshape(values.shape)  # softmax forgives an equal shift
    return values + rising / 20


def _spoiled(values: np.ndarray) -> np.ndarray:
    return values * np.float32(np.nan)


@pytest.mark.parametrize("name", ["stem.conv.weight", "classifier.bias", "input.mean"])
@pytest.mark.parametrize("damage", [_tilted, _spoiled])
def test_an_altered_weight_fails(
    classifier: Classifier, pixels: np.ndarray, tmp_path: Path, name: str, damage: Callable[[np.ndarray], np.ndarray]
) -> None:
    artifact = classifier.write(tmp_path)
    model = onnx.load(artifact.path)
    (tensor,) = (each for each in model.graph.initializer if each.name == name)
    tensor.CopyFrom(numpy_helper.from_array(damage(numpy_helper.to_array(tensor)), name))
    onnx.save(model, artifact.path)
    with pytest.raises(Exception, match=r"model\.onnx does not compute the same|not finite") as caught:
        check_parity(classifier, artifact, pixels)
    assert caught.value.exit_code == 1  # type: ignore[attr-defined]


def test_the_reason_names_file_value_and_limit(classifier: Classifier, pixels: np.ndarray, tmp_path: Path) -> None:
    artifact = classifier.write(tmp_path)
    classifier.network.arrays["classifier.bias"][0] += 1
    with pytest.raises(
        ParityError, match=r"model\.onnx .* differ by 0\.\d+; at most 0\.0001 is allowed\n.*lungfish doctor"
    ):
        check_parity(classifier, artifact, pixels)


# ---- the artifacts on the photos


def test_every_artifact_answers_every_photo_in_order(artifacts: tuple[Artifact, Artifact]) -> None:
    val, test = photos(["red", "blue"] * 7), photos(["lime", "red", "blue"] * 9)
    proofs = prove(artifacts, val, test, Preprocessing(8, crop_fraction=1.0), Progress())
    right, wrong = proofs["model.onnx"], proofs["model-int8.onnx"]
    np.testing.assert_array_equal(right.val.argmax(axis=1), val.truth)
    np.testing.assert_array_equal(right.test.argmax(axis=1), test.truth)
    assert (right.val_metrics.top1, right.test_metrics.top1) == (1, 1)
    assert (wrong.val_metrics.top1, wrong.test_metrics.n) == (0, 27)


def test_a_photo_that_vanished_ends_the_job(artifacts: tuple[Artifact, Artifact]) -> None:
    def gone() -> bytes:
        raise UnreadablePhotoError("the file is gone")

    with pytest.raises(UnreadablePhotoError, match="the file is gone"):
        prove(
            artifacts,
            photos(["red"]),
            LabelledPhotos([gone], np.array([0])),
            Preprocessing(8, crop_fraction=1.0),
            Progress(),
        )


# ---- figures and choice


def answered(wrong: int, n: int = 200) -> np.ndarray:
    """Answers on photos of class 0, the first `wrong` of them wrong."""
    probabilities = np.tile(np.array([0.8, 0.2], np.float32), (n, 1))
    probabilities[:wrong] = (0.3, 0.7)
    return probabilities


def proof_of(val_wrong: int, test_wrong: int) -> Proof:
    truth, val, test = np.zeros(200, np.int64), answered(val_wrong), answered(test_wrong)
    return Proof(val, test, score(val, truth), score(test, truth))


@pytest.mark.parametrize(
    ("val_wrong", "status", "why", "default"),
    [
        (10, "pass", "", "model-int8.onnx"),
        (12, "pass", "", "model-int8.onnx"),  # exactly one point
        (13, "fail", "1.5 points below fp32 on validation photos; at most 1 is allowed", "model.onnx"),
        (0, "pass", "", "model-int8.onnx"),  # better than fp32
    ],
)
def test_int8_is_the_default_unless_it_falls_more_than_a_point(
    artifacts: tuple[Artifact, Artifact],
    monkeypatch: pytest.MonkeyPatch,
    val_wrong: int,
    status: str,
    why: str,
    default: str,
) -> None:
    monkeypatch.setattr(module, "latency", lambda session: Latency(1.0, 2.0, session.threads, session.runtime))
    proofs = {"model.onnx": proof_of(10, 4), "model-int8.onnx": proof_of(val_wrong, 40)}
    fp32, int8 = rows = artifact_rows(artifacts, proofs, 0.01)
    assert (fp32.status, fp32.why, fp32.agreement_with_fp32) == ("pass", "", 1)
    assert (int8.status, int8.why) == (status, why)
    assert int8.agreement_with_fp32 == pytest.approx(1 - 36 / 200)
    assert choose_default(rows) == default  # chosen on validation: the test photos, far worse, have no say
    for row, artifact in zip(rows, artifacts, strict=True):
        assert (row.bytes, row.sha256) == (artifact.path.stat().st_size, sha256_file(artifact.path))
        assert row.top1 == proofs[artifact.file].test_metrics.top1
        assert row.latency_ms is not None
        assert row.latency_ms.runtime.startswith("onnxruntime ")


def row(file: str, size: int, status: str) -> ArtifactRow:
    return ArtifactRow(file, "onnx", "fp32", size, "0" * 64, status=status)


def test_the_smallest_that_passes() -> None:
    rows = [row("big", 30, "pass"), row("small", 20, "pass"), row("tiny", 10, "fail"), row("least", 1, "not_measured")]
    assert choose_default(rows) == "small"
    assert choose_default(rows[::-1]) == "small"
