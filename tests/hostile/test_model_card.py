"""What strangers call weights, licenses, data sets and classes is text in a model card, and nothing else."""

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from lungfish.deploy.model_card import model_card
from lungfish.evaluation.rejection import Threshold
from lungfish.evaluation.supporting_figures import SupportingFigures
from lungfish.runtime.artifact import ArtifactRow
from lungfish.runtime.manifest import DataSummary, FlavourRow, Manifest, WeightsOrigin
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.weights.catalogue import find_entry
from lungfish.weights.entry import WeightsEntry

ENTRY = find_entry("efficientnet_lite0.in1k")
MANIFEST = Manifest(
    lungfish="1.0",
    created="2026-01-01T00:00:00+00:00",
    seed=0,
    packages={},
    architecture={"name": "efficientnet_lite0"},
    flavour=FlavourRow("same", 1e-3),
    weights=WeightsOrigin(),
    labels=("boot", "sandal"),
    thresholds={"known": 0.5},
    temperature=1.0,
    preprocess=Preprocessing(32),
    data=DataSummary("", {"train": 8, "val": 1, "test": 1}, {}),
    artifacts=(ArtifactRow("model.onnx", "onnx", "fp32", 9, "0" * 64),),
    default="model.onnx",
    test={"top1": 1.0, "ci95": [0.5, 1.0], "n": 1, "macro_f1": 1.0, "ece": 0.0},
    val={},
    machine={},
)
SUPPORTING = SupportingFigures(Threshold(0.5, 0.95, 60, 57, 60))
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt;",
    "[free](javascript:alert(1))",
    "![spy](https://example.org/pixel.png)",
    "<https://example.org>",
    "x\n---\nlicense: mit\n---\n# Owned",
    "x\r\n\r\n## License\r\n\r\nMIT",
    "| a | b |\n|---|---|\n| c | d |",
    "`code` ``two`` ``` three",
    "*bold* **bold** _it_ __it__ ~~out~~ $x$",
    "\\[twice\\](escaped)",
    "\\",
    "[^1] [x]: https://example.org",
    "\u202ereversed \x1b[2J",
]


def tokens(card: str) -> list[Token]:
    """What a reader of Markdown makes of it, inline and outside."""
    blocks = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(card)
    return [token for block in blocks for token in (block, *(block.children or ()))]


def kinds(card: str) -> list[str]:
    return [token.type for token in tokens(card) if token.type not in ("text", "text_special")]


def shown(card: str) -> str:
    return "".join(token.content for token in tokens(card) if token.type in ("text", "text_special", "code_inline"))


def card(manifest: Manifest = MANIFEST, entry: WeightsEntry = ENTRY, how: str = "A head on ENTRY") -> str:
    return model_card(manifest, entry, how, SUPPORTING)


@pytest.mark.parametrize("text", HOSTILE)
def test_names_licenses_and_data_sets_stay_text(text: str) -> None:
    architecture = {"name": text}
    hostile = card(
        replace(MANIFEST, architecture=architecture),
        replace(ENTRY, name=text, license=text, training_data=text),
        f"A head on {text}",
    )
    assert kinds(hostile) == kinds(card())
    assert hostile.startswith("# ")  # no front matter
    printed = text.encode("unicode_escape").decode() if not text.isprintable() else text
    assert shown(hostile).count(printed) == 5


@pytest.mark.parametrize("text", HOSTILE)
def test_class_names_stay_text(text: str) -> None:
    assert kinds(card(replace(MANIFEST, labels=("boot", text)))) == kinds(card())


def test_an_address_is_no_link_where_bare_ones_are() -> None:
    """GitHub makes links of bare addresses."""
    hostile = card(entry=replace(ENTRY, training_data="https://example.org HTTP://a www.example.org"))
    assert r"https\://example.org HTTP\://a www\.example.org" in hostile
    assert "https://example.org HTTP://a www.example.org" in shown(hostile)


def test_usual_names_read_as_they_are() -> None:
    text = card(how="A logistic head on the frozen trunk of hf:timm/mobilenetv2_100.ra_in1k")
    assert "trunk of hf:timm/mobilenetv2_100.ra_in1k; 8 photos to train" in text
    assert "# efficientnet_lite0, 2 classes" in text
    assert "derive from efficientnet_lite0.in1k (Apache-2.0)" in text
