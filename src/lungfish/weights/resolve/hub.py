"""A model on the Hugging Face hub as a set of weights, from what the hub and the repository say of it."""

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
    """The set of the catalogue that is at that place, if there is one."""
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
    """The entry of `hf:OWNER/REPO[@REVISION][/FILE]`, pinned to the commit that the hub told.

    Args:
        text: the name as it was typed.
        arch: the network, for repositories that do not describe it as timm's do.

    Raises:
        UnknownNameError: no such repository, revision or file.
        UsageError: the network or the file must be named, or is none that is built here.
        WeightsError: the repository describes another network than `arch`.
        DownloadError: the hub cannot be asked, or does not give it out.
        MissingExtraError: huggingface_hub is not installed.
    """
    name = parse_hub(text)
    model = read_model(name)
    file = find_file(model, name.file) if name.file else _usual_file(model)
    described = _described(model)
    if described is None and arch is None:
        raise UsageError(f"{printable(text)} does not say which network it holds", NAME_IT)
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
    """The network, if it is timm's repository or one that timm's users made."""
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
    """The one file of weights, or the one that libraries read first. Raises `UsageError`."""
    files = {file.name: file for file in model.files if file.name.endswith(ENDINGS)}
    chosen = [files[name] for name in USUAL_FILES if name in files] or list(files.values())
    if not chosen or (len(files) > 1 and chosen[0].name not in USUAL_FILES):
        there = f"several: {', '.join(sorted(files)[:8])}" if files else "none"
        raise UsageError(
            f"hf:{model.repository} holds no file of weights that stands out, but {there}",
            f"Name it: hf:{model.repository}/FILE.",
        )
    return chosen[0]


def _license_source(model: HubModel) -> str:
    if model.license == NOASSERTION:
        return f"not stated in the model card of {model.url}"
    return f"model card of {model.url}"
