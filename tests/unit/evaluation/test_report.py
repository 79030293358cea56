"""The page holds what it is given, needs nothing else, and whatever it is given stays text."""

import base64
import hashlib
import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from lungfish.core.names import printable
from lungfish.evaluation.figures import figures
from lungfish.evaluation.rejection import Threshold, coverage_table
from lungfish.evaluation.report import MATRIX_CLASSES, render_report
from lungfish.evaluation.report_data import Epoch, LabelReview, Mistake, PhotoPair, SkippedFile, SuspectLabel
from lungfish.evaluation.supporting_figures import SupportingFigures
from lungfish.evaluation.what_changed import Against, what_changed

PAIR = (np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]))  # answers and their truth
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><style>*{display:none}",
    "{{7*7}}{% raw %}",
    "photo\u202egpj.exe",
    "\x1b[31mred\x07",
    "\udcff\u2028 & <!--",
    "javascript:alert(1)",
]


class Page(HTMLParser):
    """Elements with their attributes, text by element, whether tags are balanced."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


def test_page_holds_the_figures_it_was_given(report, folds):
    text = Page(
        render_report(
            replace(report, supporting=replace(report.supporting, cross_validation=folds), warnings=("mind the gap",))
        )
    ).text
    metrics = report.test.metrics
    for figure in (
        f"{metrics.correct} of 400 test photos",
        f"{100 * metrics.top1:.1f} %",
        f"{100 * metrics.ci95[0]:.1f} % to {100 * metrics.ci95[1]:.1f} %",
        f"{100 * metrics.macro_f1:.1f} %",
        f"{100 * metrics.ece:.1f} %",
        f"{report.supporting.threshold.value:.4f}",
        "13.5 MB",
        "3.7 MB",
        "12.3 ms",
        "15.6 ms",
        "2 threads, onnxruntime 1.99 CPU",
        "The INT8 file is not the default: loses 1.8 points on validation",
        f"bundle.json and one model; the class names are inside both. lungfish slim {report.name} copies",
        "80.1 %",
        "91.2 %",
        "a" * 12,
        "c" * 64,
        "Apache-2.0",
        "98.8 %",
        "84.0 % on average",
        "480 photos",
        "1.25",
        "1 min 32 s",
        "9.9.9",
        "mind the gap",
        "may still score high",
        "1,300 photos",
    ):
        assert figure in text, figure
    cells = [str(count) for count in report.test.confusion.ravel() if count]
    assert all(cell in text for cell in cells)


def with_text(report, text):
    """`report` with `text` in every place that a user's file, a converter or a machine may fill."""
    pairs = (PhotoPair(text, "train", text, "test"), PhotoPair(text, "val", text, "val"))
    return replace(
        report,
        mistakes=(replace(report.mistakes[0], name=text),),
        what_changed=what_changed(
            (text,), np.zeros(7, int), np.zeros(7, int), np.full(7, -1), Against(text, (text,), (text,), 1, 1, (text,))
        ),
        labels_review=LabelReview(
            9, (SuspectLabel(text, text, text, 0.9, text, b"jpeg"), SuspectLabel(*[text] * 3, 0.8, text))
        ),
        photos=replace(report.photos, split=text, skipped=(SkippedFile(text, text),), near_duplicates=pairs),
        weights=replace(report.weights, name=text, source=text, license=text),
        training=replace(report.training, recipe={text: text}, machine={text: [text]}),
        artifacts=(report.artifacts[0], replace(report.artifacts[1], why=text)),
        warnings=(text,),
        created=text,
    )


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_stays_text(make_report, hostile):
    html, harmless = (
        render_report(with_text(make_report([f"{i}{text}" for i in range(4)], name=text), text))
        for text in (hostile, "harmless")
    )
    page, expected = Page(html), Page(harmless)
    assert [(tag, set(a)) for tag, a in page.elements] == [(tag, set(a)) for tag, a in expected.elements]
    assert not page.open
    assert not [c for c in html if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    # the lines for the shell and for Python quote the name in their own way
    assert page.text.count(printable(hostile)) >= expected.text.count("harmless") - 2 > 20


def test_page_loads_and_runs_nothing(report):
    html = render_report(report)
    page = Page(html)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "iframe", "object", "embed", "form", "base", "video", "audio"}
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("style", "srcset", "action")
            if name in ("src", "href"):
                assert value.startswith(("data:image/jpeg;base64,", "#")) or (tag, value) == ("link", "data:,")
    assert not re.search(r"url\(|@import|https?://", html)


def test_policy_admits_the_one_style_block_and_nothing_else(report):
    html = render_report(report)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = [a["content"] for _, a in Page(html).elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_every_link_leads_somewhere_and_every_picture_has_words(report, folds):
    elements = Page(
        render_report(
            replace(
                with_text(report, "x"),
                supporting=replace(report.supporting, cross_validation=folds),
                epochs=(Epoch(0.5, 0.6),),
            )
        )
    ).elements
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for tag, a in elements if tag == "a"} <= set(ids)
    assert {a["aria-labelledby"] for _, a in elements if "aria-labelledby" in a} <= set(ids)
    assert all(a.get("alt") for tag, a in elements if tag == "img")
    assert all(a.get("aria-label") or a.get("aria-hidden") for tag, a in elements if tag == "svg")
    assert all(a.get("scope") for tag, a in elements if tag == "th")


def test_many_classes_and_long_lists_stay_short(make_report):
    report = make_report([f"class-{i}" for i in range(1000)], n=5000)
    report = replace(
        report,
        photos=replace(
            report.photos,
            skipped=tuple(SkippedFile(f"bad-{i}.jpg", "empty file") for i in range(5000)),
            near_duplicates=tuple(PhotoPair(f"a-{i}", "train", f"b-{i}", "test") for i in range(5000)),
        ),
        mistakes=report.mistakes * 500,
    )
    html = render_report(report)
    text = Page(html).text
    assert len(html) < 300_000
    assert "With 1,000 classes a full matrix would be unreadable" in text
    assert "And 900 more classes with a higher F1" in text
    assert "And 4,980 more files" in text
    assert "And 4,980 more pairs" in text
    assert html.count("<img ") == 2 * 24  # photo and heat map


def test_matrix_gives_way_above_its_limit(make_report):
    at, above = (render_report(make_report([f"c{i}" for i in range(n)])) for n in (MATRIX_CLASSES, MATRIX_CLASSES + 1))
    assert 'class="matrix"' in at
    assert 'class="matrix"' not in above


def test_class_table_shows_the_worst_first(report):
    html = render_report(report)
    table = html[html.index('id="classes"') : html.index('id="mistakes"')]
    f1 = [float(figure) for figure in re.findall(r'class-\d</th><td class="number">([\d.]+)\xa0%', table)]
    assert len(f1) == 10
    assert f1 == sorted(f1)


def test_missing_measurements_are_said_to_be_missing(report):
    bare = tuple(replace(row, top1=None, ci95=None, latency_ms=None, why="") for row in report.artifacts)
    text = Page(render_report(replace(report, artifacts=bare, mistakes=()))).text
    assert "not measured" in text
    assert "None" not in text.replace("None of these", "").replace("None was found", "").replace("None: every", "")


def test_a_perfect_classifier_has_a_report_too(report):
    truth = np.arange(40) % 10
    perfect = figures(np.eye(10)[truth], truth)
    text = Page(render_report(replace(report, test=perfect, mistakes=()))).text
    assert "40 of 40 test photos" in text
    assert "confused no classes" in text
    assert "All test photos were answered correctly." in text


def test_mistake_shows_its_picture_names_and_probability(report):
    mistake = Mistake("a/b.jpg", "cat", "dog", 0.654, b"\xff\xd8jpeg", b"heat")
    html = render_report(replace(report, mistakes=(mistake,)))
    picture, _heat = [a for tag, a in Page(html).elements if tag == "img"]
    assert picture["src"] == "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8jpeg").decode()
    assert picture["alt"] == "cat predicted as dog: a/b.jpg"
    assert "cat, called dog at 65.4 %" in Page(html).text


def test_a_heat_map_stands_beside_its_photo(report):
    mistake = Mistake("a/b.jpg", "cat", "dog", 0.654, b"photo", b"heat")
    page = Page(render_report(replace(report, mistakes=(mistake,))))
    pictures = [(a["src"].partition(",")[2], a["alt"]) for tag, a in page.elements if tag == "img"]
    assert pictures == [
        (base64.b64encode(b"photo").decode(), "cat predicted as dog: a/b.jpg"),
        (base64.b64encode(b"heat").decode(), "Evidence for dog in a/b.jpg"),
    ]
    assert "class activation map" in page.text
    without = render_report(replace(report, mistakes=()))
    assert "class activation map" not in Page(without).text  # no legend of what is not there


SUSPECTS = (
    SuspectLabel("a/1.jpg", "cat", "dog", 0.987, "train", b"photo"),
    SuspectLabel("b/2.jpg", "dog", "cow", 0.654, "val"),
)


def section(report, review):
    html = render_report(replace(report, labels_review=review))
    return html[html.index('id="labels"') : html.index('id="calibration"')]


def test_labels_worth_a_second_look(report):
    text = Page(render_report(replace(report, labels_review=LabelReview(400, SUSPECTS)))).text
    for words in (
        "2 labels of 400 (0.5 %)",
        "cat, or dog? (98.7 %)a/1.jpg, train",
        "1 more photo",
        "b/2.jpg dog, or cow? (65.4 %, val)",
    ):
        assert words in text
    assert section(report, LabelReview(400, SUSPECTS)).count("<img ") == 1


def test_labels_that_stand_the_test(report):
    assert "400 labels were checked; none looks wrong." in section(report, LabelReview(400))
    assert 'id="labels"' not in render_report(report)
    assert "#labels" not in render_report(report)


def test_many_doubtful_labels_stay_short(report):
    many = tuple(replace(SUSPECTS[1], file=f"{i}.jpg") for i in range(5000))
    html = section(report, LabelReview(9000, many))
    assert "And 4,900 more photos; lungfish train --json lists all." in html
    assert len(html) < 30_000


def test_json_of_a_doubtful_label():
    assert SUSPECTS[0].to_json() == {
        "file": "a/1.jpg",
        "label": "cat",
        "suggested": "dog",
        "probability": 0.987,
        "split": "train",
    }


def test_what_changed_from_the_previous_bundle(report):
    truth = np.repeat([0, 1, 2], [20, 20, 0])
    new = np.where(np.arange(40) < 8, 1, truth)  # eight photos of the first class are lost
    changed = what_changed(("hat", "shoes", "cap"), truth, truth, new, Against("shoes-bundle", added=("pants",)))
    html = render_report(replace(report, what_changed=changed))
    text = Page(html).text
    assert 'href="#changed"' in html
    assert "Compared with shoes-bundle: both files predicted the same test photos" in text
    assert "Worse: the new bundle gets 32 of 40 photos right (80.0 %), shoes-bundle 40 (100.0 %)." in text
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", html[html.index('id="changed"') :])
    hat = cells.index("hat")
    assert cells[hat : hat + 8] == ["hat", "20", "20", "12", "8", "0", "-40.0", "-61.3 to -15.8"]
    assert "worse (p = 0.0078)" in text
    assert "New class: pants." in text
    assert '<th scope="row" class="name">cap</th>' not in html  # it has no photos
    assert "What changed" not in Page(render_report(report)).text


def none_section(report):
    html = render_report(report)
    return Page(
        html[html.index('<section id="none"') : html.index("</section>", html.index('<section id="none"'))]
    ).text


def test_no_threshold_is_shown_where_there_is_none(report):
    none = Threshold(0.0, 0.95, 0, 0, 18, "none")
    text = none_section(replace(report, supporting=SupportingFigures(none), coverage=coverage_table(*PAIR, 0.0)))
    assert "there are too few photos to choose a threshold" in text
    assert "so every answer counts as known: a threshold needs 50 photos outside training, and there are 18." in text
    assert "Below a probability" not in text
    assert "chosen" not in text


def test_what_a_threshold_was_chosen_on(report):
    assert "The threshold was chosen on validation photos and measured on test photos." in none_section(report)
    chosen = replace(report.supporting.threshold, chosen_on="cross-validation", n=60)
    text = none_section(replace(report, supporting=SupportingFigures(chosen)))
    assert "The threshold was chosen by cross-validation over all photos" in text
    assert "all 60 photos were used, test photos included, each predicted by a head that was not trained on it" in text


def test_given_validation_photos_are_reported_on(report):
    notice = "Of your 400 validation photos it gets"
    assert notice not in Page(render_report(report)).text
    assert (
        notice in Page(render_report(replace(report, supporting=replace(report.supporting, given_val=report.val)))).text
    )


def test_cross_validation_of_a_head_that_does_not_ship_is_called_that(report, folds):
    shown = Page(render_report(replace(report, supporting=replace(report.supporting, cross_validation=folds)))).text
    assert "5-fold cross-validation over 480 photos." in shown
    other = replace(report.supporting, cross_validation=replace(folds, ships=False))
    shown = Page(render_report(replace(report, supporting=other))).text
    assert "5-fold cross-validation of the head alone over 480 photos." in shown
    assert "these figures say nothing about the files" in shown
    assert "Top-1, all 480 photos" not in shown
