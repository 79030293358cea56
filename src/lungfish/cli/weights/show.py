"""Define the command `lungfish weights show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lungfish.weights.entry import WeightsEntry
    from lungfish.workflows.weights.show import Shown

NOT_PUBLISHED = "not published; recorded at the first fetch"
NOT_PINNED = " (not pinned; the commit is recorded at the first fetch)"


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the weights.")],
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show everything known about one set of weights.

    Origin, license and preprocessing; for fetched weights also their hashes and how they were verified.
    """
    from lungfish.cli.output import print_json
    from lungfish.core.names import printable
    from lungfish.workflows.weights.show import show as workflow

    shown = workflow(name)
    if json:
        print_json(shown.to_json())
        return
    rows = {key: text for key, text in (_published(shown) | _here(shown)).items() if text}
    width = max(map(len, rows))
    for key, text in rows.items():
        print(f"{key:<{width}}  {printable(text)}")


def _published(shown: Shown) -> dict[str, str]:
    entry, cost = shown.entry, shown.cost
    counted = f": {cost.params:,} parameters, {cost.macs:,} multiply-adds" if cost else ""
    return {
        "name": entry.name,
        "network": entry.arch + counted or "stated only in its file",
        "top-1": f"{entry.top1:g} % ({entry.top1_source})" if entry.top1 else "",
        "license": entry.license + ("" if shown.permissive else f"; to fetch it: --accept-license {entry.license}"),
        "license source": entry.license_source,
        "license of the code": entry.code_license,
        "copyright": entry.copyright,
        "trained on": entry.training_data,
        "paper": entry.paper,
        "source": entry.source,
        "page": entry.url,
        "file": entry.location + (NOT_PINNED if "@main/" in entry.location else ""),
        "SHA-256": entry.sha256 or NOT_PUBLISHED,
        "published digest": entry.digest,
        "bytes": f"{entry.bytes:,}" if entry.bytes else NOT_PUBLISHED,
        **(_preprocessing(entry) if entry.converter else {}),
        "not checked": ", ".join(entry.unverified),
    }


def _preprocessing(entry: WeightsEntry) -> dict[str, str]:
    flavour = entry.flavour
    channels = ["({} - {:g}) / {:g}".format(*each) for each in zip("RGB", entry.mean, entry.std, strict=True)]
    return {
        "flavour": f"padding {flavour.padding}, batch-norm epsilon {flavour.bn_eps:g}",
        "pixels": ", ".join(channels),
        "resize": f"{entry.interpolation}, crop fraction {entry.crop_fraction:g}",
    }


def _here(shown: Shown) -> dict[str, str]:
    record = shown.record
    found = {"cached": str(shown.file) if shown.file else f"no: lungfish weights fetch {shown.entry.name}"}
    if record is None:
        return found
    verified = record.verified
    return found | {
        "fetched": f"{record.fetched} from {record.origin}" if record.origin else record.fetched,
        "accepted license": record.accepted_license,
        "SHA-256, converted": record.converted_sha256,
        "verified": f"{verified.when}: max |difference of logits| {verified.max_abs_diff:.1e}, top-1 agreement "
        f"{verified.top1_agreement:.1%} on {verified.images:,} pictures, against {verified.reference}"
        if verified
        else f"no: lungfish weights verify {shown.entry.name}",
    }
