"""Write `MODEL_CARD.md` and `NOTICE`: what the classifier is, what it is not, and whose work it is based on."""

from __future__ import annotations

import html
import re
from importlib import resources

from lungfish.core.names import printable
from lungfish.evaluation.supporting_figures import SupportingFigures
from lungfish.evaluation.wording import sentence, status
from lungfish.runtime.manifest import Manifest
from lungfish.weights.entry import WeightsEntry

# Characters with a meaning in Markdown, including GitHub's; an underscore only at the edge of a word.
MARKDOWN = re.compile(r"[\\`*\[\]|~#!$]|(?<![^\W_])_|_(?![^\W_])|(?<=[a-z]):(?=//)|(?<=www)\.", re.IGNORECASE)
OURS = "This classifier contains no third-party weights: it was trained from a random initialization.\n"
UNKNOWN = """\
This classifier was trained outside Lungfish. The weights that training started from, and their license, were not
stated when it was exported. If it started from published weights, their license and notices apply to it.
"""
APART = """\
The test photos were not used to train or choose the model. If `report.html` warns of copies or groups in different
splits, the model has seen some of the test photos after all, and the figures are too optimistic. A cross-validation
figure, if shown, is over all photos, test photos included, and was measured on other models, not this one."""
NOT_CHECKED = """\
Lungfish does not know the photos that the model was trained on, so it could not check whether these test photos, or
copies of them, are among them. If some are, the figures are too optimistic."""


def model_card(
    manifest: Manifest, entry: WeightsEntry, how: str, supporting: SupportingFigures, *, outside: bool = False
) -> str:
    """Return a model card in Markdown. Every figure comes from the manifest or the supporting figures.

    Args:
        manifest: Manifest of the bundle.
        entry: Weights that training started from; without a location if there were none.
        how: What was trained, in words; may contain an untrusted name.
        supporting: Figures that complement the test figures.
        outside: Whether the network was trained outside Lungfish, on unknown photos.
    """
    default = manifest.artifact()
    low, high = manifest.test["ci95"]
    rows = "\n".join(
        f"| {row.file} | {row.precision} | {row.bytes:,} | {_percent(row.top1)} | {_percent(row.agreement_with_fp32)} "
        f"| {status(row.status)} |"
        for row in manifest.artifacts
    )
    return f"""# {plain(manifest.architecture["name"])}, {len(manifest.labels)} classes

An image classifier made by Lungfish {manifest.lungfish} on {manifest.created[:10]}.

## Use

- Takes one RGB photo and returns a probability for each class: {", ".join(map(_inline, manifest.labels))}.
{_known(manifest.thresholds["known"], supporting)}
- `{default.file}` is the file to use. Input, output and resize rule are described in `bundle.json` and inside the
  file; `golden/` holds pictures and expected answers, for checking a port.

## Figures

Top-1 {_percent(manifest.test["top1"])} on {manifest.test["n"]} test photos (95 % interval {_percent(low)} to
{_percent(high)}), macro-F1 {manifest.test["macro_f1"]:.3f}, expected calibration error {manifest.test["ece"]:.3f},
measured on `{default.file}` itself.{_notes(manifest, supporting)}

{NOT_CHECKED if outside else APART}

| file | precision | bytes | top-1 | agreement with fp32 | status |
|---|---|---|---|---|---|
{rows}

"Computes as trained" means that a file agrees with the trained network, not that it is accurate enough.
`report.html` has the confusion matrix, every class and the worst mistakes.

## Training

{_training(manifest, how, outside=outside)}

## Limits

- The figures hold for photos like those in `photos.csv`. Other cameras, places, light or people were not tested.
{_limit(entry)}- Not measured: fairness between groups of people, robustness against manipulated photos.

## License

{_derived(entry)}Your photos and labels remain your own.
"""


def _training(manifest: Manifest, how: str, *, outside: bool) -> str:
    counts = manifest.data.counts
    if outside:
        return (
            f"{plain(how)}: its training photos and its recipe are not known.\nExported by Lungfish with "
            f"{counts['val']:,} photos to choose the threshold and calibrate, and {counts['test']:,} to test, "
            "listed in `photos.csv`."
        )
    return (
        f"{plain(how)}; {counts['train']:,} photos to train, {counts['val']:,} to validate,\n"
        f"{counts['test']:,} to test; settings in `recipe.toml`, photos in `photos.csv`, seed {manifest.seed}."
    )


def _known(threshold: float, supporting: SupportingFigures) -> str:
    if why_not := supporting.no_threshold():
        return f"- {sentence(why_not)}"
    known = f'- An answer below {threshold:.2f} means "none of these". Unknown things may still score higher.'
    if supporting.threshold.chosen_on == "validation":
        return known
    return f"{known}\n  The threshold was chosen by cross-validation over all photos, test photos included."


def _notes(manifest: Manifest, supporting: SupportingFigures) -> str:
    return "".join(f"\n{note}" for note in supporting.notes(manifest.test["n"]))


def _limit(entry: WeightsEntry) -> str:
    data = plain(entry.training_data)
    return f"- Pretraining data: {data}. The network inherits its gaps and biases.\n" if data else ""


def _derived(entry: WeightsEntry) -> str:
    return f"The weights derive from {plain(entry.name)} ({plain(entry.license)}); see `NOTICE`. " * bool(
        entry.location
    )


CHANGES_OUTSIDE = (
    "trained further outside Lungfish, batch normalization folded into the convolutions, INT8 files quantized"
)
CHANGES = "batch normalization folded into the convolutions, classifier replaced, INT8 files quantized"


def notice(entry: WeightsEntry, accepted_license: str = "", changes: str = CHANGES) -> str:
    """Return the attributions that must travel with the weights, and the text of their license.

    Args:
        entry: The weights.
        accepted_license: License that the user accepted by name, if it is not a permissive one.
        changes: What was changed in the weights.
    """
    rows = {
        "Source:": entry.source,
        "": entry.url,
        "SHA-256:": entry.sha256,
        "License:": f"{entry.license}, as stated in: {entry.license_source}",
        "Accepted:": f"{accepted_license}, by whoever made this bundle" if accepted_license else "",
        "Paper:": entry.paper,
        "Trained on:": entry.training_data,
        "Changes:": changes,
    }
    lines = "\n".join(f"  {key:<11} {printable(text)}" for key, text in rows.items() if text)
    copyright_line = f"  {printable(entry.copyright)}\n" if entry.copyright else ""
    return f"""This classifier contains weights derived from:

  {printable(entry.name)}
{copyright_line}{lines}

{_license_text(entry.license)}"""


def _license_text(license_id: str) -> str:
    files = resources.files("lungfish.deploy").joinpath("licenses").iterdir()
    for file in files:
        if file.name.casefold() == f"{license_id}.txt".casefold():  # SPDX ignores case
            return f"The text of {license_id} follows.\n\n{file.read_text('utf-8')}"
    if license_id == "NOASSERTION":
        return "Their publisher states no license.\n"
    return f"The text of the license: https://spdx.org/licenses/{printable(license_id)}.html\n"


def _percent(share: float | None) -> str:
    return "not measured" if share is None else f"{100 * share:.1f} %"


def plain(text: str) -> str:
    """Return untrusted text as one line of Markdown without links, pictures, headings or HTML."""
    return MARKDOWN.sub(r"\\\g<0>", html.escape(printable(text), quote=False))


def _inline(label: str) -> str:
    """Return a label as inline code, whatever it contains."""
    return f"`{printable(label).replace('`', chr(39))}`"
