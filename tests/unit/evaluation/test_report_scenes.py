"""What a report says about scenes."""

from __future__ import annotations

import re
from dataclasses import replace

from lungfish.evaluation.report import render_report
from lungfish.evaluation.report_data import Report, SceneSummary


def said(report: Report, scenes: SceneSummary | None) -> str:
    page = render_report(replace(report, photos=replace(report.photos, scenes=scenes)))
    found = re.search(r"<h3>Scenes</h3>(.*?)<h3>", page, re.DOTALL)
    return re.sub(r"<[^>]+>", "", found[1]) if found else ""


def test_how_many_and_what_a_random_split_would_have_claimed(report: Report) -> None:
    text = said(report, SceneSummary(58, 279, 5, in_sequence=280, top1=0.786, random_top1=0.993, judged=280))
    assert (
        "58 scenes (photos of the same thing at the same place), found by names, times and appearance: 279 photos, 5 in"
        in text
    )
    assert "over 280 photos top-1 is 78.6" in text
    assert "would have claimed 99.3" in text
    assert "there may be more" not in text


def test_where_it_cannot_be_known(report: Report) -> None:
    assert "there may be more" in said(report, SceneSummary(2, 4, 2))
    assert "was not measured" in said(report, SceneSummary(2, 4, 2))
    assert "None was found." in said(report, SceneSummary(0, 0, 0, in_sequence=30))
    unknown = said(report, SceneSummary(0, 0, 0, "scenes are not searched for among more than 50,000 photos"))
    assert "show the same scene: scenes are not searched for among more than 50,000 photos." in unknown
    assert said(report, None) == ""
