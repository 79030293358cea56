from dataclasses import replace

import numpy as np
import pytest

from lungfish.evaluation.class_gate import failure, unjudged_classes, worse_classes
from lungfish.evaluation.paired import Pairs, holm, mcnemar_worse
from lungfish.evaluation.what_changed import (
    BETTER,
    ELSEWHERE,
    INCONCLUSIVE,
    WORSE,
    Against,
    ClassChange,
    WhatChanged,
    shared_index,
    what_changed,
)
from lungfish.evaluation.what_changed_text import headline, notes, p_value, signed

ALONE = Against("old")


def changes(*classes: tuple[int, int, int, int], against: Against = ALONE) -> WhatChanged:
    """What changed where each class has (both, only_old, only_new, neither) photos right."""
    truth, old, new = (np.empty(0, np.int64) for _ in range(3))
    for i, counts in enumerate(classes):
        truth = np.append(truth, np.full(sum(counts), i))
        old = np.append(old, np.repeat([i, i, ELSEWHERE, ELSEWHERE], counts))
        new = np.append(new, np.repeat([i, ELSEWHERE, i, ELSEWHERE], counts))
    return what_changed([f"class-{i}" for i in range(len(classes))], truth, old, new, against)


def test_verdicts_overall_and_by_class():
    changed = changes((40, 0, 9, 1), (40, 10, 0, 1), (40, 3, 2, 5))
    assert [row.verdict for row in changed.classes] == [BETTER, WORSE, INCONCLUSIVE]
    assert (changed.verdict, changed.overall) == (INCONCLUSIVE, Pairs(120, 13, 11, 7))
    assert changed.named(WORSE) == ["class-1"]
    value = changed.to_json()
    assert value["classes"][1] == {
        "label": "class-1",
        "n": 51,
        "both_right": 40,
        "only_old_right": 10,
        "only_new_right": 0,
        "both_wrong": 1,
        "old_top1": 0.980392,
        "new_top1": 0.784314,
        "difference": -0.196078,
        "ci95": [pytest.approx(-0.3265, abs=1e-3), pytest.approx(-0.0790, abs=1e-2)],
        "p": 0.001953,
        "p_corrected": 0.003906,  # of the two classes in which six photos or more differ
        "verdict": WORSE,
    }
    assert changes((40, 0, 9, 1)).verdict == BETTER
    assert "By class: better on class-0; worse on class-1; inconclusive for the other 1 class." in notes(changed)


def test_answers_of_a_class_that_one_does_not_know_are_wrong():
    shared = ("hat", "shoes")
    assert shared_index(("pants", "shoes", "hat"), shared).tolist() == [ELSEWHERE, 1, 0]
    truth = np.array([0, 0, 1, 1])
    against = Against("old-bundle", added=("pants",), other_classes=3)
    changed = what_changed(shared, truth, truth, np.array([0, ELSEWHERE, ELSEWHERE, 1]), against)
    assert (changed.overall, changed.answered_added) == (Pairs(2, 2, 0, 0), 2)
    text = " ".join(notes(changed))
    assert (
        "New class: pants. The new bundle predicts such a class for 2 photos of other classes, which counts as" in text
    )
    assert "3 photos of classes that only one bundle knows are left out." in text


def test_the_headline_says_it_in_one_sentence():
    said = headline(changes((150, 4, 30, 6), against=Against("shoes-bundle"))).replace("\xa0", " ")
    assert said.startswith("Better: the new bundle gets 180 of 190 photos right (94.7 %), shoes-bundle 154 (81.1 %).")
    assert "The difference is +13.7 points (95 % interval +8.0 to +19.8; p < 0.001)." in said
    assert headline(changes((9, 1, 0, 0))).startswith("Inconclusive: ")
    assert headline(changes((9, 12, 0, 0))).startswith("Worse: ")


def test_no_photo_and_no_class_left():
    none = changes((0, 0, 0, 0), against=Against("old", trained_on=7))
    assert headline(none).endswith("7 photos of shared classes were training photos of one of the bundles.")
    assert (none.verdict, none.macro, none.to_json()["overall"]["old_top1"]) == (INCONCLUSIVE, None, None)
    assert "no class in common" in headline(changes())


def test_macro_weighs_classes_alike():
    assert changes((90, 0, 10, 0), (1, 1, 0, 0), (0, 0, 0, 0)).macro == pytest.approx(((0.9 + 1) / 2, (1 + 0.5) / 2))


def test_figures_for_people():
    assert [signed(value) for value in (0.0612, -0.05, 0.0, -0.0001)] == ["+6.1", "-5.0", "0.0", "0.0"]
    assert [p_value(p) for p in (1.0, 0.5, 0.0312, 0.00001)] == ["p = 1.00", "p = 0.50", "p = 0.031", "p < 0.001"]


def test_the_gate_names_the_class_with_its_figures():
    changed = changes((40, 8, 0, 2), (50, 2, 2, 5), (10, 1, 0, 0))  # in the others too few differ to count as tests
    (row,) = worse_classes(changed)
    assert failure(row) == (
        "class-0 is worse: 40 of 50 photos right, 48 with the baseline (8 lost, 0 gained; p = 0.0039, corrected)"
    )


def test_the_gate_sees_a_small_class_collapse():
    """Four photos can reach no p-value below 0.06."""
    (row,) = worse_classes(changes((1, 3, 0, 0), (40, 3, 2, 5)))
    assert (row.label, row.verdict) == ("class-0", INCONCLUSIVE)
    assert failure(row).endswith("(3 lost, 0 gained; top-1 fell by more than 50 points)")
    assert not worse_classes(changes((2, 2, 0, 0), (0, 2, 0, 0), (5, 0, 5, 0)))
    assert [row.label for row in unjudged_classes(changes((1, 1, 0, 0), (3, 0, 0, 0)))] == ["class-0"]


def simulated(rng: np.random.Generator, sizes: list[int], flips: float, loss: float = 0.0) -> WhatChanged:
    """Classes of which a share `flips` of the photos is answered differently, either way; the first loses more."""
    rows = []
    for i, n in enumerate(sizes):
        more = loss if i == 0 else 0.0
        counts = rng.multinomial(n, [flips / 2 + more, flips / 2, 1 - flips - more]).tolist()
        rows.append(Pairs(counts[2], counts[0], counts[1], 0))
    p = holm([each.p_worse for each in rows], [mcnemar_worse(each.only_old + each.only_new, 0) for each in rows])
    classes = tuple(ClassChange(str(i), *row) for i, row in enumerate(zip(rows, [1.0] * len(rows), p, strict=True)))
    return WhatChanged(rows[0], classes, Against("old"))


@pytest.mark.parametrize("size", [4, 10, 40])
def test_the_gate_is_not_tripped_by_noise_and_trips_on_losses(size):
    rng = np.random.default_rng(size)
    by_noise = np.mean([bool(worse_classes(simulated(rng, [size] * 10, 0.1))) for _ in range(400)])
    assert by_noise <= 0.05
    by_loss = np.mean([bool(worse_classes(simulated(rng, [size] * 10, 0.1, 0.8))) for _ in range(200)])
    assert by_loss >= (0.7 if size < 10 else 0.9)


def test_bundles_that_list_no_photos_are_named():
    changed = changes((9, 0, 0, 0), against=Against("old", unlisted=("old", "new"), trained_on=1, removed=("cap",)))
    text = " ".join(notes(changed))
    assert "old, new do not list their training photos" in text
    assert "1 photo that one of the bundles was trained on is left out." in text
    assert "No longer known: cap." in text
    assert "old does not list its" in " ".join(notes(replace(changed, against=Against("old", unlisted=("old",)))))
