"""Create the weights entry of a model on the Hugging Face hub, from what the hub and the repository state."""

from __future__ import annotations

from dataclasses import replace

from lungfish.architecture import parse_arch
from lungfish.core.errors import UsageError
from lungfish.core.names import printable
from lungfish.weights.catalogue import catalogue
from lungfish.weights.convert.fit import check_network
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.layouts import find_source
from lungfish.weights.license import NOASSERTION
from lungfish.weights.resolve.completion import INCOMPLETE
from lungfish.weights.resolve.timm_config import TimmModel, read_timm_config
from lungfish.weights.scheme import NAME_IT, HubName, parse_hub
from lungfish.weights.services.hub import HubFile, HubModel, find_file, read_config, read_model

USUAL_FILES = ("model.safetensors", "pytorch_model.bin", "model.pth")
ENDINGS = (".safetensors", ".bin", ".pth", ".pt", ".h5", ".keras")


def catalogued(name: HubName) -> WeightsEntry | None:
    """Return the catalogue's entry for that location, or None."""
    for entry in catalogue().values():
        if entry.location.startswith("hf:"):
            known = parse_hub(entry.location)
            if (
                known.repository == name.repository
                and name.revision in ("", known.revision)
                and name.file in ("", known.file)
            ):
                return entry
    return None


def hub_entry(text: str, arch: str | None) -> WeightsEntry:
    """Return the entry of `hf:OWNER/REPO[@REVISION][/FILE]`, pinned to the commit that the hub reports.

    Args:
        text: Name as typed.
        arch: Network, for repositories that do not describe it as timm's do.

    Raises:
        UnknownNameError: The repository, revision or file does not exist.
        UsageError: The network or the file must be given, or the network is not supported.
        WeightsError: The repository describes a network other than `arch`.
        DownloadError: The hub cannot be reached, or denies access.
        MissingExtraError: huggingface_hub is not installed.
    """
    name = parse_hub(text)
    model = read_model(name)
    file = find_file(model, name.file) if name.file else _usual_file(model)
    described = _described(model)
    if described is None and arch is None:
        raise UsageError(f"{printable(text)} does not state its network", NAME_IT)
    entry = replace(
        INCOMPLETE,
        name=text,
        arch=arch or "",
        location=str(replace(name, revision=model.commit, file=file.name)),
        source=f"Hugging Face hub, {model.repository} at {model.commit[:12]}",
        license=model.license,
        license_source=_license_source(model),
        url=model.url,
        training_data=", ".join(model.datasets) or "not stated in the model card",
        sha256=file.sha256,
        bytes=file.bytes,
    )
    return _with_description(entry, described) if described else entry


def _described(model: HubModel) -> TimmModel | None:
    """Return the network that the repository describes in timm's format, or None."""
    if model.library != "timm" or "config.json" not in [file.name for file in model.files]:
        return None
    return read_timm_config(read_config(model), f"hf:{model.repository}")


def _with_description(entry: WeightsEntry, described: TimmModel) -> WeightsEntry:
    arch = parse_arch(described.arch)
    if entry.arch:
        check_network(entry.name, arch, parse_arch(entry.arch))
    return replace(
        entry.with_preprocessing(described.preprocessing),
        arch=described.arch,
        converter=described.converter,
        flavour=find_source(described.converter).flavour_of(arch),
        unverified=(),
    )


def _usual_file(model: HubModel) -> HubFile:
    """Return the only weights file, or the one that libraries read first. Raises `UsageError`."""
    files = {file.name: file for file in model.files if file.name.endswith(ENDINGS)}
    chosen = [files[name] for name in USUAL_FILES if name in files] or list(files.values())
    if not chosen or (len(files) > 1 and chosen[0].name not in USUAL_FILES):
        candidates = f"it has several: {', '.join(sorted(files)[:8])}" if files else "it has none"
        raise UsageError(
            f"hf:{model.repository} has no single weights file: {candidates}",
            f"Name it: hf:{model.repository}/FILE.",
        )
    return chosen[0]


def _license_source(model: HubModel) -> str:
    if model.license == NOASSERTION:
        return f"not stated in the model card of {model.url}"
    return f"model card of {model.url}"
