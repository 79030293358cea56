from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors.numpy import load_file

from lungfish.deploy.classifier import Classifier
from lungfish.runtime.metadata import check_metadata
from lungfish.training.trunk import normalized
from lungfish.weights.load import to_network


def test_the_file_computes_the_softmax_of_the_logits_divided_by_the_temperature(
    classifier: Classifier, pixels: np.ndarray, tmp_path: Path
) -> None:
    with torch.inference_mode():
        logits = to_network(classifier.network)(normalized(torch.from_numpy(pixels), classifier.entry))
    assert np.ptp(logits.numpy()) > 0.5
    for temperature in (0.5, 2.0):
        other = replace(classifier, temperature=temperature)
        artifact = other.write(tmp_path, str(temperature))
        expected = (logits / temperature).softmax(dim=1).numpy()
        np.testing.assert_allclose(artifact.open().run(pixels), expected, atol=1e-5)
        np.testing.assert_allclose(other.probabilities(pixels), expected, atol=1e-6)


def test_the_file_says_what_it_is(classifier: Classifier, tmp_path: Path) -> None:
    artifact = classifier.write(tmp_path)
    engine = artifact.open()
    assert (engine.resolution_px, engine.classes) == (64, 3)
    check_metadata(engine.metadata, classifier.labels, classifier.preprocess, artifact.file)


def test_one_graph_in_one_file_with_batch_norm_folded(classifier: Classifier, tmp_path: Path) -> None:
    model = onnx.load(classifier.write(tmp_path).path, load_external_data=False)
    assert {node.domain for node in model.graph.node} == {""}
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    (taken,), (given,) = model.graph.input, model.graph.output
    assert (taken.name, taken.type.tensor_type.elem_type) == ("image", onnx.TensorProto.UINT8)
    assert (given.name, given.type.tensor_type.elem_type) == ("probabilities", onnx.TensorProto.FLOAT)


def test_the_same_bytes_twice(classifier: Classifier, tmp_path: Path) -> None:
    for name in ("a", "b"):
        classifier.write(tmp_path, name)
        classifier.write_safetensors(tmp_path / f"{name}.safetensors")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_safetensors_hold_the_unfolded_floats(classifier: Classifier, tmp_path: Path) -> None:
    classifier.write_safetensors(tmp_path / "weights.safetensors")
    saved, network = load_file(tmp_path / "weights.safetensors"), classifier.network.arrays
    assert set(saved) == set(network)
    assert "stem.norm.running_var" in saved
    for name, tensor in network.items():
        np.testing.assert_array_equal(saved[name], tensor)  # the temperature is not in the classifier
        assert saved[name].shape == tuple(tensor.shape), name
