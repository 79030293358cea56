"""Describe the figures of a report in plain sentences.

Labels in them are not escaped: whoever displays a sentence must escape it.
"""

from __future__ import annotations

from math import isfinite

from lungfish.core.names import plural
from lungfish.data.split.problems import IMBALANCE
from lungfish.evaluation.confusion import most_confused
from lungfish.evaluation.report_data import Report
from lungfish.evaluation.stage_result import Gain
from lungfish.evaluation.supporting_figures import CrossValidation
from lungfish.evaluation.wording import listed, milliseconds, percent, sentence, size, status

WIDE_INTERVAL = 0.10
FEW_TEST_PHOTOS = 10  # of a class
MANY_SKIPPED = 0.05


def verdict(report: Report) -> str:
    """Summarize how often the default artifact is right, the supporting figures, its size and its speed."""
    row, metrics = report.default_artifact, report.test.metrics
    low, high = (percent(bound) for bound in metrics.ci95)
    latency = row.latency_ms
    speed = "" if latency is None else f" and {milliseconds(latency.p50)} per photo"
    right = (
        f"{row.file} gets {metrics.correct:,} of {plural(metrics.n, 'test photo')} right, {percent(metrics.top1)} "
        f"(95\xa0% interval {low} to {high})"
    )
    over_all = report.supporting.over_all_photos(metrics.n)
    takes = f"takes {size(row.bytes)}{speed}."
    return f"{right}. {over_all} The file {takes}" if over_all else f"{right}; it {takes}"


def chance(report: Report) -> str:
    """State the score of always answering the most frequent class."""
    n = report.test.confusion.sum(axis=1)
    share = float(n.max() / n.sum())
    return f"Always answering “{report.labels[int(n.argmax())]}” would get {percent(share)} right."


def main_confusions(report: Report) -> str:
    """Name the classes that are confused most often."""
    pairs = most_confused(report.test.confusion, report.labels, 3)
    if not pairs:
        return "It confused no classes on the test photos."
    first, *others = [f"“{p.truth}” for “{p.predicted}” ({p.count:,} of {p.n:,})" for p in pairs]
    rest = f"; then {', '.join(others)}" if others else ""
    return f"It most often mistakes {first}{rest}."


def int8_outcome(report: Report) -> str:
    """State whether INT8 became the default, and why or why not."""
    default = report.default_artifact
    if default.precision == "int8":
        floats = [row for row in report.artifacts if row.precision == "fp32"]
        instead = f", {size(default.bytes)} instead of {size(floats[0].bytes)}" if floats else ""
        return f"The INT8 file is the default{instead}.{_agreement(default.agreement_with_fp32)}"
    rows = [row for row in report.artifacts if row.precision == "int8"]
    if not rows:
        return "There is no INT8 file."
    row = rows[0]
    why = row.why.rstrip(".") or f"its top-1 on the test photos is {percent(row.top1)}"
    return f"The INT8 file is not the default: {why}.{_agreement(row.agreement_with_fp32)}"


def _agreement(share: float | None) -> str:
    return "" if share is None else f" It agrees with FP32 on {percent(share)} of the test photos."


def cautions(report: Report) -> tuple[str, ...]:
    """List reasons to trust the figures less, the most serious first, and the report's own warnings last."""
    found = (
        _failed(report),
        _few_test_photos(report),
        _thin_classes(report),
        _imbalance(report),
        _skipped(report),
        _threshold(report),
    )
    return tuple(text for text in found if text) + report.warnings


def _failed(report: Report) -> str:
    row = report.default_artifact
    why = f": {row.why}" if row.why else ""
    return "" if row.status == "pass" else f"The default file is {status(row.status)}{why}."


def _few_test_photos(report: Report) -> str:
    low, high = report.test.metrics.ci95
    if high - low <= WIDE_INTERVAL:
        return ""
    return _ignore_below(report)


def _ignore_below(report: Report) -> str:
    """Say which differences the test photos cannot show."""
    metrics = report.test.metrics
    width = 100 * (metrics.ci95[1] - metrics.ci95[0])
    return f"With {plural(metrics.n, 'test photo')}, ignore differences under {width:.0f} points."


def loss_change(found: Gain) -> str:
    """Describe the change of the loss that decided whether a stage was kept."""
    way = "lower" if found.mean >= 0 else "higher"
    error = f" (standard error {found.error:.3f})" if isfinite(found.error) else ""
    return f"loss {abs(found.mean):.3f} {way}{error} on {plural(found.photos, 'photo')}"


def _thin_classes(report: Report) -> str:
    n = report.test.confusion.sum(axis=1).tolist()
    thin = [
        f"“{label}” {count}" for count, label in sorted(zip(n, report.labels, strict=True)) if count < FEW_TEST_PHOTOS
    ]
    if not thin:
        return ""
    classes = plural(len(thin), "class has", "classes have")
    return f"{classes} fewer than {FEW_TEST_PHOTOS} test photos ({listed(thin)}): too few for reliable figures."


def _imbalance(report: Report) -> str:
    by_size = sorted(report.photos.counts, key=lambda count: count.train)
    least, most = by_size[0], by_size[-1]
    if most.train < IMBALANCE * max(least.train, 1):
        return ""
    return (
        f"The classes are uneven: {most.train:,} training photos of “{most.label}”, {least.train:,} of "
        f"“{least.label}”. "
        f"Macro-F1 ({percent(report.test.metrics.macro_f1)}) gives all classes the same weight."
    )


def _skipped(report: Report) -> str:
    count = len(report.photos.skipped)
    if not count:
        return ""
    share = count / (count + report.photos.total)
    more = f", {percent(share)} of all, which is unusually many" if share > MANY_SKIPPED else ""
    return f"{plural(count, 'file was', 'files were')} skipped{more}."


def _threshold(report: Report) -> str:
    threshold = report.supporting.threshold
    if why_not := report.supporting.no_threshold():
        return sentence(why_not)
    if not threshold.is_rough:
        return ""
    n = plural(threshold.correct, "photo")
    return f"The threshold for “none of these” was chosen on only {n} answered correctly; it is a first guess."


def cross_validation_reading(folds: CrossValidation, report: Report) -> str:
    """Explain how far the figures of a small dataset can be trusted."""
    low, high = report.test.metrics.ci95
    return (
        f"On photos like these, top-1 is probably between {percent(low)} and {percent(high)}. {_ignore_below(report)} "
        "Do not rank classes by a handful of photos, and expect different figures for photos taken elsewhere, with "
        f"another camera or in other light. {_what_folds_say(folds)}"
    )


def _what_folds_say(folds: CrossValidation) -> str:
    if not folds.ships:
        return (
            "The head on the frozen network was cross-validated. The network was trained further after that, so these "
            "figures say nothing about the files."
        )
    return (
        f"Cross-validation uses all {folds.n:,} photos, so its figure is steadier; its folds share training photos, "
        "so its interval is a little too narrow."
    )
