"""`lungfish evaluate`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lungfish.workflows.evaluate import Evaluation


def evaluate(  # noqa: PLR0913  one parameter for each option
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder.")],
    photos: Annotated[str, typer.Argument(metavar="PHOTOS", help="Labelled photos, as lungfish train takes them.")],
    split: Annotated[
        str | None,
        typer.Option(help="train, val, test or all.  [default: test if the photos come with splits, else all]"),
    ] = None,
    min_top1: Annotated[float | None, typer.Option(help="Exit with 1 below this top-1, 0 to 1.")] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="BUNDLE", help="Exit with 1 if this bundle does better on the photos.")
    ] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also follow links that lead outside the folder of the photos.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> int:
    """Measure every artefact of a bundle on labelled photos.

    The names of the classes must be the bundle's. The gates look at the bundle's default artefact.
    """
    from lungfish.cli.output import print_json
    from lungfish.core.progress import for_stderr
    from lungfish.workflows import evaluate as workflow

    gates = workflow.Gates(min_top1, baseline)
    evaluation = workflow.evaluate(bundle, photos, split, gates, for_stderr(), follow_links=follow_links)
    if json:
        print_json(evaluation.to_json())
    else:
        _print(evaluation)
    return int(bool(evaluation.failed))


def _print(evaluation: Evaluation) -> None:
    from lungfish.cli.output import table, warn
    from lungfish.core.names import plural, printable

    rows = [["artefact", "top-1", "95 % interval", "macro-F1", "ECE", "photos"]]
    named = [(row.file + (" *" if row.file == evaluation.default else ""), row.metrics) for row in evaluation.artifacts]
    if evaluation.baseline:
        named.append((f"baseline {evaluation.baseline.file}", evaluation.baseline.metrics))
    for name, metrics in named:
        low, high = metrics.ci95
        figures = (metrics.top1, metrics.macro_f1, metrics.ece)
        top1, macro_f1, ece = (f"{figure:.4f}" for figure in figures)
        rows.append([name, top1, f"{low:.4f} to {high:.4f}", macro_f1, ece, f"{metrics.n:,}"])
    print(table(rows))
    print()
    classes = [["class", "precision", "recall", "F1", "photos"]]
    classes += [
        [printable(row.label), f"{row.precision:.4f}", f"{row.recall:.4f}", f"{row.f1:.4f}", f"{row.n:,}"]
        for row in evaluation.per_class
    ]
    print(table(classes))
    print(f"\n* the default artefact, which the classes are about; split: {evaluation.split}")
    for skipped in evaluation.skipped:
        warn(f"skipped {printable(skipped.file)}: {skipped.reason}")
    for warning in evaluation.warnings:
        warn(f"warning: {warning}")
    if evaluation.skipped:
        warn(f"{plural(len(evaluation.skipped), 'file')} skipped")
    for failure in evaluation.failed:
        warn(f"failed: {failure}")
