from dataclasses import replace

import numpy as np

from lungfish.evaluation.figures import figures
from lungfish.evaluation.rejection import Threshold
from lungfish.evaluation.report_data import ClassCount, SkippedFile
from lungfish.evaluation.report_text import (
    cautions,
    chance,
    cross_validation_reading,
    int8_outcome,
    main_confusions,
    verdict,
)
from lungfish.evaluation.supporting_figures import SupportingFigures


def measured(confusion: list[list[int]]):
    """Figures of certain answers that fall as `confusion` says."""
    pairs = [(i, j) for i, row in enumerate(confusion) for j, count in enumerate(row) for _ in range(count)]
    truth, predicted = np.array(pairs).T
    return figures(np.eye(len(confusion))[predicted], truth)


def test_verdict_names_file_share_interval_size_and_latency(make_report):
    report = replace(make_report(["a", "b"]), test=measured([[18, 2], [1, 19]]))
    assert verdict(report).replace("\xa0", " ") == (
        "model.onnx gets 37 of 40 test photos right, 92.5 % (95 % interval 80.1 % to 97.4 %); "
        "it takes 13.5 MB and 12.3 ms per photo."
    )
    unmeasured = replace(report.artifacts[0], latency_ms=None)
    assert verdict(replace(report, artifacts=(unmeasured,))).endswith("it takes 13.5\xa0MB.")


def test_confusions_and_chance_name_classes(make_report):
    report = replace(make_report(["a", "b", "c"]), test=measured([[8, 2, 0], [5, 15, 0], [0, 0, 10]]))
    assert main_confusions(report) == "It most often mistakes “b” for “a” (5 of 20); then “a” for “b” (2 of 10)."
    assert chance(report) == "Always answering “b” would get 50.0\xa0% right."


def test_int8_outcome_tells_what_became_of_it(report):
    fp32, int8 = report.artifacts
    assert int8_outcome(report) == (
        "The INT8 file is not the default: loses 1.8 points on validation. "
        "It agrees with FP32 on 91.2\xa0% of the test photos."
    )
    assert int8_outcome(replace(report, default=int8.file)).startswith(
        "The INT8 file is the default, 3.7\xa0MB instead of 13.5\xa0MB."
    )
    assert int8_outcome(replace(report, artifacts=(fp32,))) == "There is no INT8 file."


def test_a_sound_report_has_no_cautions(report):
    assert cautions(report) == ()


def test_each_fault_is_cautioned_against(report):
    few = replace(report, test=measured([[8, 2], [1, 4]]), labels=("a", "b"))
    low, high = few.test.metrics.ci95
    assert cautions(few)[0] == f"With 15 test photos, ignore differences under {100 * (high - low):.0f} points."
    assert "1 class has fewer than 10 test photos (“b” 5)" in cautions(few)[1]

    counts = (ClassCount("many", 500, 10, 40), ClassCount("few", 100, 10, 40))
    (uneven,) = cautions(replace(report, photos=replace(report.photos, counts=counts)))
    assert "500 training photos of “many”, 100 of “few”" in uneven

    skipped = tuple(SkippedFile(f"{i}.jpg", "empty file") for i in range(100))
    (many,) = cautions(replace(report, photos=replace(report.photos, skipped=skipped)))
    assert many == "100 files were skipped, 7.1\xa0% of all, which is unusually many."
    (one,) = cautions(replace(report, photos=replace(report.photos, skipped=skipped[:1])))
    assert one == "1 file was skipped."

    (rough,) = cautions(replace(report, supporting=SupportingFigures(Threshold(0.4, 0.95, 12, 12, 60))))
    assert "12 photos answered correctly" in rough
    (none,) = cautions(replace(report, supporting=SupportingFigures(Threshold(0.0, 0.95, 0, 0, 18, "none"))))
    assert none.startswith("There is no “none of these” threshold, so every answer counts as known: a threshold needs")
    assert none.endswith("outside training, and there are 18.")

    failed = replace(report.artifacts[0], status="fail", why="parity 0.3")
    warned = cautions(replace(report, artifacts=(failed,), warnings=("mine",)))
    assert warned == ("The default file is less accurate than fp32: parity 0.3.", "mine")


def test_cross_validation_is_read_with_the_interval(report, folds):
    low, high = report.test.metrics.ci95
    text = cross_validation_reading(folds, report)
    assert f"between {100 * low:.1f}\xa0% and {100 * high:.1f}\xa0%" in text
    assert (
        f"With {report.test.metrics.n} test photos, ignore differences under {100 * (high - low):.0f} points." in text
    )
    assert "Cross-validation uses all 480 photos" in text
    assert "these figures say nothing about the files" in cross_validation_reading(replace(folds, ships=False), report)


def test_few_test_photos_do_not_stand_alone(make_report, folds):
    report = make_report(["a", "b"])
    few = replace(
        report, test=measured([[18, 2], [1, 19]]), supporting=replace(report.supporting, cross_validation=folds)
    )
    assert verdict(few).replace("\xa0", " ") == (
        "model.onnx gets 37 of 40 test photos right, 92.5 % (95 % interval 80.1 % to 97.4 %). "
        "That is a small sample: in cross-validation over all 480 photos, 84.0 % were right (about 80 to 87 %). "
        "The file takes 13.5 MB and 12.3 ms per photo."
    )
    tuned = replace(few, supporting=replace(few.supporting, cross_validation=replace(folds, ships=False)))
    assert "480" not in verdict(tuned), "of the head only: it says nothing of what ships"
    many = replace(few, test=measured([[150, 0], [0, 150]]))
    assert "480" not in verdict(many)
