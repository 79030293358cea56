"""Read the plain tensors of PyTorch files without torch. The files are pickles, which may contain code; none is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lungfish.core.errors import WeightsError
from lungfish.core.names import printable
from lungfish.weights.formats.limits import check_size, unreadable
from lungfish.weights.formats.pickle_machine import NotPlainError
from lungfish.weights.formats.stored_tensors import StoredTensor
from lungfish.weights.formats.torch_stream import open_torch_stream
from lungfish.weights.formats.torch_zip import MAGIC, PLAIN_HINT, open_torch_zip

PARTS = ("state_dict", "model", "ema", "state_dict_ema", "model_ema")  # where training scripts put the tensors
PARALLEL = "module."  # prefix of every name after DataParallel


def read_torch(path: Path) -> dict[str, object]:
    """Read the tensors of a state dict, or of a checkpoint that contains one, as arrays by name.

    Only the part that contains them is read from disk. bfloat16 becomes float32, which represents it exactly. A sparse
    or quantized tensor, which cannot be an array, is a `NoPlainTensor`.

    Raises:
        WeightsError: The file contains anything but plain tensors, is not a PyTorch file, or is too large.
    """
    size = check_size(path)
    try:
        with path.open("rb") as file:
            is_zip = file.read(len(MAGIC)) == MAGIC
            file.seek(0)
            content = open_torch_zip(path, file) if is_zip else open_torch_stream(file, size)
            state = _named(path, content.value)
            return {
                name: content.array(tensor) if isinstance(tensor, StoredTensor) else tensor
                for name, tensor in state.items()
            }
    except WeightsError:
        raise
    except NotPlainError as error:
        problem = f"it contains more than plain tensors{f' and would run {error.code}' if error.code else ''}"
        raise WeightsError(f"cannot read {printable(path.name)}: {problem}", PLAIN_HINT) from None
    except Exception as error:  # noqa: BLE001  a broken or hostile file can make the reader raise anything
        raise unreadable(path, error) from None


def _named(path: Path, value: object) -> dict[str, object]:
    """Return the tensors, from the one part of a checkpoint that contains them."""
    shown = printable(path.name)
    if isinstance(value, Mapping):
        parts = [part for part in PARTS if isinstance(value.get(part), Mapping)]
        if len(parts) > 1:
            raise WeightsError(
                f"{shown} contains {' and '.join(parts)}; the choice is ambiguous",
                f'Save one of them separately: torch.save(torch.load(FILE)["{parts[0]}"], "one.pth").',
            )
        value = value[parts[0]] if parts else value
    if not isinstance(value, Mapping):
        raise WeightsError(f"{shown} contains a {type(value).__name__}, not tensors by name")
    state = {str(name): tensor for name, tensor in value.items()}
    if state and all(name.startswith(PARALLEL) for name in state):
        return {name.removeprefix(PARALLEL): tensor for name, tensor in state.items()}
    return state
