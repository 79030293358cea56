"""Resolve the names in PyTorch pickles: tensors, storages, types and ordered dicts.

Source: `torch._utils` and `torch.serialization` of torch 2.14, whose `weights_only` reader allows these and more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

from lungfish.core.names import printable
from lungfish.weights.formats.limits import MAX_TENSORS
from lungfish.weights.formats.pickle_machine import Call, DamagedError, NotPlainError, PickleMachine, checked_key
from lungfish.weights.formats.stored_tensors import DTYPES, DType, NoPlainTensor, StoredTensor, Stretch, counts, view

Tensor = StoredTensor | NoPlainTensor

STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
    "UntypedStorage": "uint8",
}
IGNORED = (  # saved with a tensor, but irrelevant here
    *("torch._tensor.Tensor", "torch.Tensor", "torch.nn.parameter.Parameter", "torch.per_tensor_affine"),
    *("torch.per_tensor_symmetric", "torch.per_channel_affine", "torch.per_channel_symmetric"),
    "torch.per_channel_affine_float_qparams",
)


class Objects:
    """The names that one file may use. Counts the file's tensors.

    Args:
        find_storage: Returns the storage of a persistent id.
    """

    def __init__(self, find_storage: Callable[[tuple[Any, ...]], Stretch]) -> None:
        self._find_storage = find_storage
        self._tensors = 0
        self._calls = {
            "collections.OrderedDict": Call(_ordered_dict),
            "collections.Counter": Call(_counter),  # in the state of a learning-rate schedule
            "torch.Size": Call(counts),
            "torch.device": Call(_device),
            "torch.serialization._get_layout": Call(_layout),
            "torch._utils._rebuild_tensor": Call(self._tensor),
            "torch._utils._rebuild_tensor_v2": Call(self._tensor_v2),
            "torch._utils._rebuild_tensor_v3": Call(self._tensor_v3),
            "torch._utils._rebuild_parameter": Call(_parameter),
            "torch._utils._rebuild_parameter_with_state": Call(_parameter),
            "torch._utils._rebuild_qtensor": Call(self._quantized),
            "torch._utils._rebuild_sparse_tensor": Call(self._sparse),
            "torch._utils._rebuild_meta_tensor_no_storage": Call(self._meta),
            "torch._tensor._rebuild_from_type_v2": Call(_with_attributes),
        }

    def load(self, file: IO[bytes]) -> object:
        """Return the value of the pickle at the position of `file`. Raises what `PickleMachine.run` raises."""
        return PickleMachine(file, self._find, self._find_storage).run()

    def _find(self, module: str, name: str) -> object:
        full = f"{module}.{name}"
        if full in self._calls:
            return self._calls[full]
        if module in ("torch", "torch.storage") and name in STORAGES:
            return DTYPES[STORAGES[name]]
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if full in IGNORED:
            return None
        raise NotPlainError(printable(full)[:80])

    def _counted(self, tensor: Tensor) -> Tensor:
        self._tensors += 1
        if self._tensors > MAX_TENSORS:
            raise DamagedError(f"it contains more than {MAX_TENSORS:,} tensors")
        return tensor

    def _tensor(self, stretch: object, offset: object, shape: object, stride: object) -> Tensor:
        if not isinstance(stretch, Stretch):
            raise DamagedError("a tensor has no storage")
        return self._counted(view(stretch, stretch.storage.dtype, offset, shape, stride))

    def _tensor_v2(self, stretch: object, offset: object, shape: object, stride: object, *more: object) -> Tensor:
        return _without_flags(self._tensor(stretch, offset, shape, stride), more[2:])  # gradient, hooks, flags

    def _tensor_v3(self, stretch: object, offset: object, shape: object, stride: object, *more: object) -> Tensor:
        dtype = more[2]
        if not isinstance(dtype, DType):
            raise DamagedError("a tensor has no type")
        return _without_flags(self._counted(view(stretch, dtype, offset, shape, stride)), more[3:])

    def _quantized(self, stretch: object, offset: object, shape: object, stride: object, *_: object) -> Tensor:
        return self._tensor(stretch, offset, shape, stride)

    def _sparse(self, _layout: object, data: object) -> Tensor:
        """Return a sparse tensor. `data` holds indices, values, shape, and sometimes whether it is coalesced."""
        parts = [part for part in data if not isinstance(part, bool | None)] if isinstance(data, tuple) else []
        if len(parts) < 3 or not isinstance(parts[-2], Tensor):
            raise DamagedError("a sparse tensor has no values")
        dtype = parts[-2].dtype
        return self._counted(NoPlainTensor(counts(parts[-1]), dtype.name if isinstance(dtype, DType) else dtype))

    def _meta(self, dtype: object, shape: object, *_: object) -> Tensor:
        if not isinstance(dtype, DType):
            raise DamagedError("a tensor has no type")
        return self._counted(NoPlainTensor(counts(shape), dtype.name))


def _without_flags(tensor: Tensor, flags: tuple[object, ...]) -> Tensor:
    """Treat a tensor that is stored conjugated or negated as not plain."""
    if any(flags) and isinstance(tensor, StoredTensor):
        return NoPlainTensor(tensor.shape, tensor.dtype.name)
    return tensor


def _parameter(tensor: object, *_: object) -> object:
    return tensor


def _with_attributes(function: object, _kind: object, arguments: object, _attributes: object) -> object:
    """Return a tensor that was saved with extra attributes."""
    if type(function) is not Call or function.function is _with_attributes or type(arguments) is not tuple:
        raise NotPlainError
    return function.function(*arguments)


def _ordered_dict(pairs: object = ()) -> dict[str | int, object]:
    if type(pairs) not in (list, tuple):
        raise NotPlainError
    return {checked_key(key): value for key, value in pairs}  # type: ignore[attr-defined]


def _counter(by_key: object) -> object:
    if type(by_key) is not dict:
        raise NotPlainError
    return by_key


def _device(*words: object) -> object:
    return words


def _layout(name: object) -> object:
    return name
