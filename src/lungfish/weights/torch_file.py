"""PyTorch's files of tensors. They are pickles, which may hold code: only plain tensors are unpickled."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

from lungfish.core.errors import WeightsError
from lungfish.core.names import printable
from lungfish.weights.limits import check_size, unreadable

PARTS = ("state_dict", "model", "ema", "state_dict_ema", "model_ema")  # where training scripts put the tensors
PARALLEL = "module."  # before every name, from DataParallel
PLAIN_HINT = "Weights are read as plain tensors only. Ask its author for safetensors, or for the state dict by itself."


def read_torch(path: Path) -> dict[str, object]:
    """Tensors by name, of a state dict or of a checkpoint that holds one.

    Raises:
        WeightsError: it holds anything but plain tensors, is no such file, or too large.
    """
    import torch

    check_size(path)
    try:
        if zipfile.is_zipfile(path):
            _check_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats; what matters is raised
            found = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL ([\w.]{1,80})", str(error))
        problem = f"it is not plain tensors{f', it would run {code[1]}' if code else ''}"
        raise WeightsError(f"cannot read {printable(path.name)}: {problem}", PLAIN_HINT) from None
    except Exception as error:  # noqa: BLE001  a broken or hostile file can make the reader raise anything
        raise unreadable(path, error) from None
    return _named(path, found)


def _check_archive(path: Path) -> None:
    """The usual format is a zip archive whose members are not compressed."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if any(member.filename.endswith("/constants.pkl") or "/code/" in member.filename for member in members):
        raise WeightsError(f"{printable(path.name)} is a TorchScript archive: a program, not plain tensors", PLAIN_HINT)
    check_size(path, sum(member.file_size for member in members))


def _named(path: Path, found: object) -> dict[str, object]:
    """The tensors, out of the one part of a checkpoint that holds them."""
    shown = printable(path.name)
    if isinstance(found, Mapping):
        parts = [part for part in PARTS if isinstance(found.get(part), Mapping)]
        if len(parts) > 1:
            raise WeightsError(
                f"{shown} holds {' and '.join(parts)}: nothing tells which is meant",
                f'Save one by itself: torch.save(torch.load(FILE)["{parts[0]}"], "one.pth").',
            )
        found = found[parts[0]] if parts else found
    if not isinstance(found, Mapping):
        raise WeightsError(f"{shown} holds a {type(found).__name__}, not tensors by name")
    state = {str(name): tensor for name, tensor in found.items()}
    if state and all(name.startswith(PARALLEL) for name in state):
        return {name.removeprefix(PARALLEL): tensor for name, tensor in state.items()}
    return state
