"""ONNX files made by an enemy: each is refused before onnxruntime sees it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from lungfish.core.errors import BundleError
from lungfish.runtime.engines.engine import BATCH_SIZE
from lungfish.runtime.engines.onnx.engine import OnnxEngine
from lungfish.runtime.engines.onnx.graph_check import checked_graph
from lungfish.runtime.engines.onnx.operators import OPERATORS

Sound = Callable[..., ModelProto]
PADS, STRIDES = [0, 0, 0, 0], [1, 1]


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(tag: bytes, content: bytes) -> bytes:
    """A length-delimited field."""
    return tag + varint(len(content)) + content


def with_graph(model: ModelProto, tag: bytes = b"\x3a", more: bytes = b"") -> bytes:
    """The model with its graph under another tag, and more behind the graph's fields."""
    graph = model.graph.SerializeToString()
    rest = ModelProto.FromString(model.SerializeToString())
    rest.ClearField("graph")
    return rest.SerializeToString() + field(tag, graph + more)


def insert(model: ModelProto, nodes: Sequence[NodeProto], *constants: TensorProto, resolution: int = 8) -> bytes:
    """Put nodes from `pixels` to `new` between the model's pixels and their mean."""
    at = next(i for i, node in enumerate(model.graph.node) if "pixels" in node.input)
    model.graph.node[at].input[0] = "new"
    before, after = list(model.graph.node)[:at], list(model.graph.node)[at:]
    del model.graph.node[:]
    model.graph.node.extend([*before, *nodes, *after])
    model.graph.initializer.extend(constants)
    for dim in model.graph.input[0].type.tensor_type.shape.dim[1:3]:
        dim.dim_value = resolution
    return model.SerializeToString()


def conv(name: str, source: str, kernel: str, side: int = 1, **attributes: Any) -> NodeProto:
    usual = {"group": 1, "kernel_shape": [side, side], "pads": PADS, "strides": STRIDES}
    return helper.make_node("Conv", [source, kernel, f"{kernel}.bias"], [name], name, **usual | attributes)


def kernel(name: str, *shape: int) -> list[TensorProto]:
    arrays = {name: np.ones(shape, np.float32), f"{name}.bias": np.ones(shape[0], np.float32)}
    return [numpy_helper.from_array(array, key) for key, array in arrays.items()]


def integers(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def make_external(tensor: TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.bin")


def a_graph_behind_a_tag_of_five_bytes(model: ModelProto) -> bytes:
    # protobuf drops the high bits of the tag, so this is field 7; a reader that does not finds an unknown field
    make_external(model.graph.initializer[1])
    return with_graph(model, tag=b"\xba\x80\x80\x80\x10")


def a_tensor_behind_a_tag_of_five_bytes(model: ModelProto) -> bytes:
    make_external(model.graph.initializer[1])
    tensor = model.graph.initializer.pop().SerializeToString()
    return with_graph(model, more=field(b"\xaa\x80\x80\x80\x10", tensor))


def an_ort_flatbuffer(model: ModelProto) -> bytes:
    """A file of ORT's own format, with ORTM at bytes 4 to 7, whose beginning is protobuf of unknown fields."""
    for padding in range(16):
        model.domain = "x" * padding
        buffer = ort_format(model)
        root = int.from_bytes(buffer[:4], "little")
        if root % 8 == 0:
            break
    else:
        raise AssertionError("no flatbuffer has its root where it is wanted")
    first = 0x60 + root % 16  # field 12 or 13, a varint; then field 0, of the eight bytes that hold ORTM
    body = bytes(first + (1 << 16) - root) + buffer[8:]
    length = len(body) - 7
    head = bytes([first, 0, 1, 0]) + b"ORTM" + body[:3]
    return head + bytes([0x62, 0x80 | (length & 0x7F), 0x80 | (length >> 7 & 0x7F), length >> 14]) + body[7:]


def ort_format(model: ModelProto) -> bytes:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.save_model_format", "ORT")
    with TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "model.ort")
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return Path(options.optimized_model_filepath).read_bytes()


def external_data(model: ModelProto) -> bytes:
    make_external(model.graph.initializer[1])
    return model.SerializeToString()


def external_data_in_a_second_graph_field(model: ModelProto) -> bytes:
    other = ModelProto.FromString(model.SerializeToString())
    make_external(other.graph.initializer[0])
    return model.SerializeToString() + other.SerializeToString()  # protobuf merges them


def a_sparse_tensor(model: ModelProto) -> bytes:
    make_external(model.graph.sparse_initializer.add().values)
    return model.SerializeToString()


def training_steps(model: ModelProto) -> bytes:
    model.training_info.add()
    return model.SerializeToString()


def local_functions(model: ModelProto) -> bytes:
    relu = helper.make_node("Relu", ["x"], ["y"])
    model.functions.append(helper.make_function("mine", "F", ["x"], ["y"], [relu], [helper.make_opsetid("", 17)]))
    return model.SerializeToString()


def operators_of_microsoft(model: ModelProto) -> bytes:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return insert(model, [helper.make_node("Gelu", ["pixels"], ["new"], domain="com.microsoft")])


def a_standard_domain_by_another_name(model: ModelProto) -> bytes:
    model.graph.node[0].domain = "ai.onnx"
    return model.SerializeToString()


def an_endless_loop(model: ModelProto) -> bytes:
    steps = [helper.make_node("Identity", [f"{name}_in"], [f"{name}_out"]) for name in ("go", "x")]
    inputs = [helper.make_tensor_value_info("i", TensorProto.INT64, [])]
    inputs += [helper.make_tensor_value_info("go_in", TensorProto.BOOL, [])]
    inputs += [helper.make_tensor_value_info("x_in", TensorProto.FLOAT, None)]
    outputs = [helper.make_tensor_value_info("go_out", TensorProto.BOOL, [])]
    outputs += [helper.make_tensor_value_info("x_out", TensorProto.FLOAT, None)]
    body = helper.make_graph(steps, "body", inputs, outputs)
    loop = helper.make_node("Loop", ["", "go", "pixels"], ["new"], body=body)
    return insert(model, [loop], numpy_helper.from_array(np.array(True), "go"))


def a_division_that_traps(model: ModelProto) -> bytes:
    nodes = [
        helper.make_node("Div", ["least", "minus_one"], ["quotient"]),
        helper.make_node("Cast", ["quotient"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["pixels", "float"], ["new"]),
    ]
    return insert(model, nodes, integers("least", -(2**63)), integers("minus_one", -1))


def expand_to_4_gb(model: ModelProto) -> bytes:
    nodes = [helper.make_node("Expand", ["pixels", "shape"], ["new"])]
    return insert(model, nodes, integers("shape", 1, 3, 1 << 15, 1 << 15))


def constant_of_4_gb(model: ModelProto) -> bytes:
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("Add", ["pixels", "zeros"], ["new"]),
    ]
    return insert(model, nodes, integers("shape", 1 << 30))


def a_convolution_to_34_gb(model: ModelProto) -> bytes:
    return insert(model, [conv("new", "pixels", "k")], *kernel("k", 64, 3, 1, 1), resolution=4096)


def activations_that_all_live_at_once(model: ModelProto) -> bytes:
    names = [f"c{i}" for i in range(200)]
    nodes = [conv(name, "pixels", "k") for name in names]
    sums = [*(f"sum{i}" for i in range(198)), "new"]
    for first, second, total in zip([names[0], *sums], names[1:], sums, strict=False):
        nodes.append(helper.make_node("Add", [first, second], [total]))
    return insert(model, nodes, *kernel("k", 16, 3, 1, 1), resolution=512)


def a_week_of_multiply_adds(model: ModelProto) -> bytes:
    nodes = [conv("c0", "pixels", "k")]
    nodes += [conv(f"c{i}", f"c{i - 1}", "k2", 3, pads=[1, 1, 1, 1]) for i in range(1, 300)]
    nodes += [helper.make_node("Relu", ["c299"], ["new"])]
    return insert(model, nodes, *kernel("k", 16, 3, 1, 1), *kernel("k2", 16, 16, 3, 3), resolution=512)


def pads_of_a_million(model: ModelProto) -> bytes:
    return insert(model, [conv("new", "pixels", "k", pads=[10**6] * 4)], *kernel("k", 3, 3, 1, 1))


def strides_of_zero(model: ModelProto) -> bytes:
    return insert(model, [conv("new", "pixels", "k", strides=[0, 0])], *kernel("k", 3, 3, 1, 1))


def a_group_of_zero(model: ModelProto) -> bytes:
    return insert(model, [conv("new", "pixels", "k", group=0)], *kernel("k", 3, 3, 1, 1))


def a_kernel_that_is_larger_than_the_picture(model: ModelProto) -> bytes:
    return insert(model, [conv("new", "pixels", "k", 9)], *kernel("k", 3, 3, 9, 9))


def a_kernel_shape_of_two_lengths(model: ModelProto) -> bytes:
    return insert(model, [conv("new", "pixels", "k", kernel_shape=[1])], *kernel("k", 3, 3, 1, 1))


def dilations(model: ModelProto) -> bytes:
    return insert(model, [conv("new", "pixels", "k", dilations=[2**31, 2**31])], *kernel("k", 3, 3, 1, 1))


def sides_that_overflow(model: ModelProto) -> bytes:
    del model.graph.initializer[1].dims[:]
    model.graph.initializer[1].dims.extend([2**32, 2**32, 3, 3])
    return model.SerializeToString()


def a_negative_side(model: ModelProto) -> bytes:
    model.graph.initializer[1].dims[:] = [-3, -3]
    return model.SerializeToString()


def fewer_numbers_than_the_shape_says(model: ModelProto) -> bytes:
    model.graph.initializer[1].dims[0] += 1
    return model.SerializeToString()


def numbers_in_two_places(model: ModelProto) -> bytes:
    model.graph.initializer[1].float_data.extend([1.0] * 9)
    return model.SerializeToString()


def a_value_before_it_is_computed(model: ModelProto) -> bytes:
    model.graph.node.append(model.graph.node.pop(0))
    return model.SerializeToString()


def a_value_that_is_computed_twice(model: ModelProto) -> bytes:
    return insert(
        model, [helper.make_node("Relu", ["pixels"], ["pixels"]), helper.make_node("Relu", ["pixels"], ["new"])]
    )


def an_output_of_another_shape(model: ModelProto) -> bytes:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2**40
    return model.SerializeToString()


def a_shape_that_is_not_true(model: ModelProto) -> bytes:
    model.graph.value_info.append(helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 9, 9]))
    return model.SerializeToString()


def another_operator_set(model: ModelProto) -> bytes:
    model.opset_import[0].version = 1
    return model.SerializeToString()


def metadata_that_is_no_text(model: ModelProto) -> bytes:
    return model.SerializeToString() + field(b"\x72", field(b"\x0a", b"labels") + field(b"\x12", b"\xff\xfe"))


def graphs_20_deep(model: ModelProto) -> bytes:
    graph = model.graph
    for _ in range(20):
        node = helper.make_node("If", ["c"], ["o"])
        node.attribute.append(AttributeProto(name="then_branch", g=graph))
        graph = helper.make_graph([node], "g", [], [])
    model.graph.CopyFrom(graph)
    return model.SerializeToString()


def groups_10_000_deep(model: ModelProto) -> bytes:
    return with_graph(model, more=field(b"\x0a", b"\x7b" * 10_000 + b"\x7c" * 10_000))


def a_number_where_text_belongs(model: ModelProto) -> bytes:
    return with_graph(model, more=b"\x10\x01")  # the name of the graph, as a varint


def empty_nodes(model: ModelProto) -> bytes:
    return with_graph(model, more=b"\x0a\x00" * 250_000)


def empty_attributes(model: ModelProto) -> bytes:
    return with_graph(model, more=field(b"\x0a", b"\x2a\x00" * (2 << 20) + b"\x0a\x00" * 9))


def long_metadata(model: ModelProto) -> bytes:
    return model.SerializeToString() + field(b"\x72", field(b"\x12", b"x" * (8 << 20)))


def many_operators(model: ModelProto) -> bytes:
    nodes = [helper.make_node("Relu", [f"r{i - 1}" if i else "pixels"], [f"r{i}"]) for i in range(10_000)]
    return insert(model, [*nodes, helper.make_node("Relu", ["r9999"], ["new"])])


ATTACKS = {
    a_graph_behind_a_tag_of_five_bytes: "not a valid ONNX file",
    a_tensor_behind_a_tag_of_five_bytes: "not an ONNX file",
    an_ort_flatbuffer: "not a valid ONNX file",
    ort_format: "not an? (valid )?ONNX file",
    external_data: "stores tensors in other files",
    external_data_in_a_second_graph_field: "not a valid ONNX file",
    a_sparse_tensor: "contains sparse tensors",
    training_steps: "contains training steps",
    local_functions: "defines custom operators",
    operators_of_microsoft: "sets the domain of an operator",
    a_standard_domain_by_another_name: "sets the domain of an operator",
    an_endless_loop: "contains a graph inside an operator",
    a_division_that_traps: "'least' of ONNX type 7",
    expand_to_4_gb: "'shape' of ONNX type 7",
    constant_of_4_gb: "'shape' of ONNX type 7",
    a_convolution_to_34_gb: "bytes of activations per photo; at most 2,147,483,648",
    activations_that_all_live_at_once: "bytes of activations per photo; at most 2,147,483,648",
    a_week_of_multiply_adds: "multiply-adds for 8 photos; at most",
    pads_of_a_million: "pads are out of range",
    strides_of_zero: "strides are out of range",
    a_group_of_zero: "shapes do not fit",
    a_kernel_that_is_larger_than_the_picture: "shapes do not fit",
    a_kernel_shape_of_two_lengths: "it must have",
    dilations: "it must have",
    sides_that_overflow: "shape .4294967296",
    a_negative_side: "dimensions of 1 or more",
    fewer_numbers_than_the_shape_says: "does not contain the data of 'weights' exactly once",
    numbers_in_two_places: "does not contain the data of 'weights' exactly once",
    a_value_before_it_is_computed: "before it is computed",
    a_value_that_is_computed_twice: "defines 'pixels' twice",
    an_output_of_another_shape: "up to 4 dimensions",
    a_shape_that_is_not_true: "declares a different type or shape for 'pixels'",
    another_operator_set: "uses operator sets",
    metadata_that_is_no_text: "not UTF-8",
    graphs_20_deep: "contains a graph inside an operator",
    groups_10_000_deep: "ONNX file",
    a_number_where_text_belongs: "field 2 in an ONNX Graph",
    empty_nodes: "more than 200,000 fields",
    empty_attributes: "bytes of structure",
    long_metadata: "bytes of metadata",
    many_operators: "has 10,007 operators; at most 10,000",
}


@pytest.mark.parametrize(("attack", "words"), ATTACKS.items(), ids=[attack.__name__ for attack in ATTACKS])
def test_attacks(attack: Callable[[ModelProto], bytes], words: str, color_model: Sound) -> None:
    with pytest.raises(BundleError, match=words):
        checked_graph(attack(color_model()), BATCH_SIZE)


@pytest.mark.parametrize("operator", ["Identity", "NonZero", "Gather", "Resize", "ScatterND", "Einsum", "relu", "\x1b"])
def test_operators_that_are_not_listed(operator: str, color_model: Sound) -> None:
    with pytest.raises(BundleError, match=r"uses the operator '.*'; allowed: Add, Cast, Clip, "):
        checked_graph(insert(color_model(), [helper.make_node(operator, ["pixels"], ["new"])]), BATCH_SIZE)


def test_onnxruntime_takes_no_format_but_onnx(color_model: Sound) -> None:
    for data in (ort_format(color_model()), an_ort_flatbuffer(color_model())):
        with pytest.raises(BundleError, match="cannot load"):
            OnnxEngine(data, trusted=True)


def test_external_data_is_not_read(color_model: Sound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.bin").write_bytes(numpy_helper.to_array(color_model().graph.initializer[1]).tobytes())
    monkeypatch.chdir(tmp_path)
    for attack in (external_data, a_graph_behind_a_tag_of_five_bytes, a_tensor_behind_a_tag_of_five_bytes):
        with pytest.raises(BundleError):
            OnnxEngine(attack(color_model()))


@pytest.mark.parametrize("field", ["t", "tensors", "sparse_tensor", "sparse_tensors", "g", "graphs"])
def test_external_data_inside_an_attribute(color_model: Sound, field: str) -> None:
    attribute = AttributeProto(name="value")
    value = getattr(attribute, field)
    (value.add() if hasattr(value, "add") else value).SetInParent()
    model = color_model()
    model.graph.node[0].attribute.append(attribute)
    with pytest.raises(BundleError, match=r"in an ONNX Attribute|contains a graph inside"):
        checked_graph(model.SerializeToString(), BATCH_SIZE)


def test_a_sound_graph_passes_as_it_is(color_model: Sound) -> None:
    data = color_model().SerializeToString()
    assert checked_graph(data, BATCH_SIZE) == (data, BATCH_SIZE)


def test_memory_is_counted_as_it_is_freed(color_model: Sound) -> None:
    nodes = [conv("c0", "pixels", "k"), *(helper.make_node("Relu", [f"c{i}"], [f"c{i + 1}"]) for i in range(1000))]
    nodes.append(helper.make_node("Relu", ["c1000"], ["new"]))
    checked_graph(insert(color_model(), nodes, *kernel("k", 3, 3, 1, 1), resolution=512), BATCH_SIZE)


def test_what_is_too_large_for_a_whole_batch_runs_in_smaller_ones(color_model: Sound) -> None:
    """Two copies of 64 channels at 1024 x 1024, in float32: half a gigabyte of each photo."""
    nodes = [conv("wide", "pixels", "k"), helper.make_node("Relu", ["wide"], ["wider"]), conv("new", "wider", "back")]
    kernels = (*kernel("k", 64, 3, 1, 1), *kernel("back", 3, 64, 1, 1))
    _, size = checked_graph(insert(color_model(), nodes, *kernels, resolution=1024), BATCH_SIZE)
    assert size == 4


def reversed_fields(model: ModelProto) -> bytes:
    head = field(b"\x42", model.opset_import[0].SerializeToString()) + b"\x08\x08"
    return field(b"\x3a", model.graph.SerializeToString()) + head


def long_varints(model: ModelProto) -> bytes:
    return with_graph(model, more=b"\x12\x80\x00") + b"\x08\x88\x80\x00"  # an empty name; IR version 8


def unpacked_shapes(model: ModelProto) -> bytes:
    name = model.graph.initializer[0].name.encode()
    del model.graph.initializer[0]
    tensor = b"\x0a\x01\x03\x10\x01" + field(b"\x42", name) + b"\x25\x00\x00\x80\x3f" * 3
    return with_graph(model, more=field(b"\x2a", tensor))


@pytest.mark.parametrize("write", [reversed_fields, long_varints, unpacked_shapes])
def test_a_roundabout_way_to_write_a_sound_graph(write: Callable[[ModelProto], bytes], color_model: Sound) -> None:
    data = write(color_model())
    checked, _ = checked_graph(data, BATCH_SIZE)
    assert checked != data
    model = onnx.load_model_from_string(data)
    assert onnx.load_model_from_string(checked) == model
    assert checked == model.SerializeToString()
    assert OnnxEngine(data).classes == 3


def test_changed_bytes(color_model: Sound) -> None:
    """What passes holds no more than the fields and operators that may be there, whoever reads it."""
    random_ = random.Random(0)
    sound = color_model().SerializeToString()
    passed = 0
    for _ in range(2000):
        data = bytearray(sound)
        for _ in range(random_.randint(1, 3)):
            at = random_.randrange(len(data))
            data[at : at + random_.choice((0, 1, 1, 2))] = random_.randbytes(random_.choice((0, 1, 1, 2)))
        try:
            checked, _ = checked_graph(bytes(data), BATCH_SIZE)
        except BundleError:
            continue
        passed += 1
        model = onnx.load_model_from_string(checked)
        assert model.SerializeToString() == checked
        assert not [*model.functions, *model.training_info, *model.graph.sparse_initializer]
        assert {node.op_type for node in model.graph.node} <= set(OPERATORS)
        assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert 20 < passed < 900


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x3a",
        b"\x3a\xff\xff\xff\xff\x7f",
        b"\x3b\x00",
        b"\x38\x01",
        b"\x80" * 20,
        b"hello, this is text",
        b"\x3d",
    ],
)
def test_not_a_graph(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"not an ONNX file|not a valid ONNX file"):
        checked_graph(data, BATCH_SIZE)


def test_truncated_graphs(color_model: Sound) -> None:
    data = color_model().SerializeToString()
    end_of_graph = data.index(b"\x42", len(data) - 300)
    for length in range(end_of_graph):
        with pytest.raises(BundleError):
            checked_graph(data[:length], BATCH_SIZE)
