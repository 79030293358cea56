"""Render a report as one self-contained HTML file without scripts."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping
from importlib import resources
from typing import Any

from lungfish.core.errors import MissingExtraError
from lungfish.core.extras import install_extra
from lungfish.core.names import plural, printable
from lungfish.evaluation import charts, what_changed_text, wording
from lungfish.evaluation import report_text as verdict
from lungfish.evaluation.confusion import most_confused
from lungfish.evaluation.metrics import per_class
from lungfish.evaluation.rejection import CoverageRow
from lungfish.evaluation.report_data import Report
from lungfish.evaluation.supporting_figures import about
from lungfish.runtime.artifact import ArtifactRow

MATRIX_CLASSES = 30  # with more, a list of pairs replaces the matrix
LISTED = {"pairs": 30, "classes": 100, "mistakes": 24, "suspects": 100, "files": 20}


def render_report(report: Report) -> str:
    """Render `report` as one self-contained HTML page.

    The page loads nothing and runs no script, as its content security policy states. All text, in particular class and
    file names, is shown with control characters escaped and is HTML-escaped.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtraError("reports need jinja2", f"Run: {install_extra('train')}") from error

    def shown(value: object) -> object:
        return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    # finalize receives every printed value before it is escaped
    page = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_packaged),
    )
    page.filters |= {
        "percent": wording.percent,
        "interval": wording.interval,
        "size": wording.size,
        "milliseconds": wording.milliseconds,
        "duration": wording.duration,
        "status": wording.status,
        "loss": verdict.loss_change,
        "headline": what_changed_text.headline,
        "notes": what_changed_text.notes,
        "signed": what_changed_text.signed,
        "signed_interval": what_changed_text.signed_interval,
        "p_value": what_changed_text.p_value,
        "about": about,
        "base64": lambda data: base64.b64encode(data).decode(),
        "bar": lambda share, bounds: Markup(charts.interval_bar(share, *bounds)),  # noqa: S704 # figures only
    }
    page.globals |= {"plural": plural, "most": LISTED}
    style = _packaged("report.css")
    charts_svg = {
        "reliability": Markup(charts.reliability_diagram(report.test.calibration)),  # noqa: S704 # figures only
        "coverage_curve": Markup(charts.coverage_curve(report.coverage)),  # noqa: S704 # figures only
        "learning_curves": Markup(charts.learning_curves(report.epochs) if report.epochs else ""),  # noqa: S704
    }
    text: str = page.get_template("report.html").render(
        report=report,
        style=Markup(style),  # noqa: S704 # our own file
        policy=content_security_policy(style),
        **charts_svg,
        **_text(report),
        **_tables(report),
    )
    return text


def content_security_policy(style: str) -> str:
    """Return the policy of a page whose only style block is `style`."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _packaged(name: str) -> str:
    return resources.files("lungfish.evaluation").joinpath(name).read_text("utf-8")


def _text(report: Report) -> dict[str, Any]:
    folds = report.supporting.cross_validation
    return {
        "verdict": verdict.verdict(report),
        "on_given_val": report.supporting.on_given_val(),
        "none_reading": wording.sentence(report.supporting.no_threshold()),
        "over_all": folds if folds and report.supporting.over_all_photos(report.test.metrics.n) else None,
        "chance": verdict.chance(report),
        "main_confusions": verdict.main_confusions(report),
        "int8_outcome": verdict.int8_outcome(report),
        "cautions": verdict.cautions(report),
        "rejection_price": _rejection_price(report.coverage),
        "folds_reading": verdict.cross_validation_reading(folds, report) if folds else "",
        "command": f"lungfish predict {shlex.quote(report.name)} photo.jpg",
        "slim": f"lungfish slim {shlex.quote(report.name)}",
        "python": f"import lungfish as lf\n\nbundle = lf.load({report.name!r})\nrows = bundle.predict(['photo.jpg'])",
    }


def _tables(report: Report) -> Mapping[str, Any]:
    confusion, labels = report.test.confusion, report.labels
    scores = sorted(per_class(confusion, labels), key=lambda row: (row.f1, -row.n))
    counts = report.photos.counts
    if len(counts) > LISTED["classes"]:
        counts = tuple(sorted(counts, key=lambda count: count.train))
    return {
        "matrix": _matrix(report) if len(labels) <= MATRIX_CLASSES else None,
        "pairs": most_confused(confusion, labels, LISTED["pairs"]),
        "scores": scores,
        "counts": counts,
        "mistakes": report.mistakes[: LISTED["mistakes"]],
        "conditions": _conditions(report.artifacts),
        "totals": {split: sum(getattr(count, split) for count in counts) for split in ("train", "val", "test")},
    }


def _conditions(rows: tuple[ArtifactRow, ...]) -> dict[tuple[int, str], list[str]]:
    """Group files by the (threads, runtime) of their latency measurement."""
    files: dict[tuple[int, str], list[str]] = {}
    for row in rows:
        if row.latency_ms:
            files.setdefault((row.latency_ms.threads, row.latency_ms.runtime), []).append(row.file)
    return files


def _matrix(report: Report) -> list[tuple[str, list[tuple[int, str]], int]]:
    """Return rows of (label, cells of (count, style class), number of photos)."""
    heat, counts = charts.heat_classes(report.test.confusion), report.test.confusion.tolist()
    return [
        (label, list(zip(row, styles, strict=True)), sum(row))
        for label, row, styles in zip(report.labels, counts, heat, strict=True)
    ]


def _rejection_price(rows: tuple[CoverageRow, ...]) -> str:
    """Describe how many right and wrong answers the chosen threshold rejects on the test photos."""
    everything, chosen = rows[0], next(row for row in rows if row.chosen)
    right_of = [round(row.n * (row.accuracy or 0)) for row in (everything, chosen)]
    right = right_of[0] - right_of[1]
    wrong = everything.n - chosen.n - right
    return (
        f"On the test photos it rejects {wrong:,} of the {plural(everything.n - right_of[0], 'wrong answer')}, "
        f"and with them {right:,} of the {plural(right_of[0], 'right one')}."
    )
