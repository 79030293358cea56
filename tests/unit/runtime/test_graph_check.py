from collections.abc import Callable
from typing import Any

import pytest
from onnx import AttributeProto, TensorProto, helper

from lungfish.core.errors import BundleError
from lungfish.runtime.graph_check import check_graph

Model = Callable[..., Any]


def make_external(tensor: TensorProto, location: str = "weights.bin") -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def test_a_sound_graph(color_model: Model) -> None:
    check_graph(color_model().SerializeToString())


def test_standard_domains_by_either_name(color_model: Model) -> None:
    model = color_model()
    model.graph.node[0].domain = "ai.onnx"
    model.graph.initializer[0].data_location = TensorProto.DEFAULT
    check_graph(model.SerializeToString())


def test_external_data_of_an_initializer(color_model: Model) -> None:
    model = color_model()
    make_external(model.graph.initializer[1])
    with pytest.raises(BundleError, match="keeps tensors in other files"):
        check_graph(model.SerializeToString())


@pytest.mark.parametrize("field", ["t", "tensors", "sparse_tensor", "sparse_tensors", "g", "graphs"])
def test_external_data_inside_an_attribute(color_model: Model, field: str) -> None:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    make_external(tensor)
    attribute = AttributeProto(name="value")
    if field == "t":
        attribute.t.CopyFrom(tensor)
    elif field == "tensors":
        attribute.tensors.append(tensor)
    elif field == "sparse_tensor":
        attribute.sparse_tensor.values.CopyFrom(tensor)
    elif field == "sparse_tensors":
        attribute.sparse_tensors.add().indices.CopyFrom(tensor)
    else:
        graph = attribute.g if field == "g" else attribute.graphs.add()
        graph.initializer.append(tensor)
    model = color_model()
    model.graph.node[0].attribute.append(attribute)
    with pytest.raises(BundleError, match="keeps tensors in other files"):
        check_graph(model.SerializeToString())


def test_external_data_of_a_sparse_initializer(color_model: Model) -> None:
    model = color_model()
    make_external(model.graph.sparse_initializer.add().values)
    with pytest.raises(BundleError, match="keeps tensors in other files"):
        check_graph(model.SerializeToString())


def test_external_data_in_a_second_graph_field(color_model: Model) -> None:
    # protobuf merges a field that occurs twice
    other = color_model()
    make_external(other.graph.initializer[0])
    with pytest.raises(BundleError, match="keeps tensors in other files"):
        check_graph(color_model().SerializeToString() + other.SerializeToString())


def test_custom_operators(color_model: Model) -> None:
    model = color_model()
    model.graph.node[0].domain = "evil\x1b[31m"
    with pytest.raises(BundleError, match=r"custom operators: domain 'evil\\x1b"):
        check_graph(model.SerializeToString())


def test_functions_and_training(color_model: Model) -> None:
    model = color_model()
    model.functions.add(name="f", domain="mine")
    with pytest.raises(BundleError, match="operators of its own"):
        check_graph(model.SerializeToString())
    model = color_model()
    model.training_info.add()
    with pytest.raises(BundleError, match="training steps"):
        check_graph(model.SerializeToString())


def test_deep_nesting(color_model: Model) -> None:
    graph = color_model().graph
    for _ in range(20):
        node = helper.make_node("If", ["c"], ["o"])
        node.attribute.append(AttributeProto(name="then_branch", g=graph))
        graph = helper.make_graph([node], "g", [], [])
    model = color_model()
    model.graph.CopyFrom(graph)
    with pytest.raises(BundleError, match="nested more than"):
        check_graph(model.SerializeToString())


@pytest.mark.parametrize(
    "data",
    [b"\x3a", b"\x3a\xff\xff\xff\xff\x7f", b"\x3b\x00", b"\x38\x01", b"\x80" * 20, b"hello, this is text", b"\x3d"],
)
def test_not_a_graph(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"not an ONNX file|not a valid ONNX file"):
        check_graph(data)


def test_truncated_graphs(color_model: Model) -> None:
    data = color_model().SerializeToString()
    refused = 0
    for length in range(len(data)):
        try:
            check_graph(data[:length])
        except BundleError:
            refused += 1
    assert refused > 0.9 * len(data)  # a cut between two fields of the outermost message leaves a valid message
