from __future__ import annotations

import numpy as np
import pytest

from lungfish.core.errors import UsageError
from lungfish.data.augment.mixing import Mixing, mixed

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

LABELS = torch.arange(8) // 4  # neighbors are of one class
INPUTS = torch.arange(8).float()[:, None, None, None].expand(8, 3, 10, 10).contiguous()  # a photo is its number


def mix(seed=0, **alphas):
    return mixed(INPUTS, LABELS, 2, Mixing(**alphas), np.random.default_rng(seed))


def test_mixup_blends_photos_and_labels_alike():
    before = INPUTS.clone()
    shares = []
    for seed in range(30):
        inputs, labels = mix(seed, mixup_alpha=1.0)
        assert (inputs.shape, labels.shape, labels.dtype) == (INPUTS.shape, (8, 2), torch.float32)
        torch.testing.assert_close(labels.sum(dim=1), torch.ones(8))
        share = _share(inputs, labels)
        shares.append(share)
        assert inputs[:, 0].flatten(1).std(dim=1).max() < 1e-5  # all of a photo alike
    assert min(shares) < 0.3
    assert max(shares) > 0.7
    assert torch.equal(INPUTS, before)


def _share(inputs, labels):
    """The share of each photo in its own place, found by trying every partner; all rows must agree on one."""
    values = inputs[:, 0, 0, 0]
    own = torch.arange(8.0)
    candidates = [set() for _ in range(8)]
    for i in range(8):
        for j in set(range(8)) - {i}:
            share = float((values[i] - j) / (own[i] - j))
            expected = torch.zeros(2)
            expected[LABELS[i]] += share
            expected[LABELS[j]] += 1 - share
            if -1e-4 <= share <= 1 + 1e-4 and torch.allclose(labels[i], expected, atol=1e-4):
                candidates[i].add(round(share, 3))
    common = set.intersection(*candidates)
    assert common
    return common.pop()


def test_cutmix_pastes_a_rectangle_and_its_share_of_the_label():
    pasted = 0
    for seed in range(30):
        inputs, labels = mix(seed, cutmix_alpha=1.0)
        for i in range(8):
            plane = inputs[i, 0]
            foreign = plane != i
            assert len(plane.unique()) <= 2
            if foreign.any():
                pasted += 1
                rows, columns = foreign.any(dim=1).sum(), foreign.any(dim=0).sum()
                assert foreign.sum() == rows * columns  # a rectangle
                expected = torch.zeros(2)
                expected[LABELS[i]] += 1 - foreign.float().mean()
                expected[LABELS[int(plane[foreign][0])]] += foreign.float().mean()
                torch.testing.assert_close(labels[i], expected)
    assert pasted > 100


def test_partners_are_of_any_class():
    labels = torch.stack([mix(seed, mixup_alpha=1.0)[1] for seed in range(50)])
    between = ((labels > 0) & (labels < 1)).any(dim=2).float().mean()
    assert 0.4 < between < 0.75  # 4 of the 7 others are of the other class


def test_both_take_turns():
    kinds = {bool(mix(seed, mixup_alpha=1.0, cutmix_alpha=1.0)[0][0, 0].std() > 1e-3) for seed in range(20)}
    assert kinds == {True, False}


def test_chance_is_the_callers_alone():
    state = torch.get_rng_state()
    first, again, other = mix(1, mixup_alpha=0.2), mix(1, mixup_alpha=0.2), mix(2, mixup_alpha=0.2)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_nothing_to_mix():
    inputs, labels = mix()
    assert torch.equal(inputs, INPUTS)
    assert torch.equal(labels, torch.eye(2)[LABELS])
    assert mixed(INPUTS.byte(), LABELS, 2, Mixing(), np.random.default_rng(0))[0].dtype == torch.float32
    inputs, labels = mixed(INPUTS[:0], LABELS[:0], 2, Mixing(1.0), np.random.default_rng(0))
    assert (inputs.shape, labels.shape) == ((0, 3, 10, 10), (0, 2))
    inputs, labels = mixed(INPUTS[5:6], LABELS[5:6], 2, Mixing(1.0), np.random.default_rng(0))
    torch.testing.assert_close(inputs, INPUTS[5:6])
    torch.testing.assert_close(labels, torch.tensor([[0.0, 1.0]]))


@pytest.mark.parametrize("mixing", [Mixing(mixup_alpha=1.0), Mixing(cutmix_alpha=1.0)])
def test_pixels_as_bytes_are_mixed_as_numbers(mixing):
    inputs, labels = mixed(INPUTS.byte(), LABELS, 2, mixing, np.random.default_rng(3))
    expected = mixed(INPUTS, LABELS, 2, mixing, np.random.default_rng(3))
    assert inputs.dtype == torch.float32
    assert torch.equal(inputs, expected[0])
    assert torch.equal(labels, expected[1])


@pytest.mark.parametrize(("name", "alpha"), [("mixup_alpha", -0.1), ("cutmix_alpha", 101), ("mixup_alpha", np.nan)])
def test_what_is_not_allowed_is_said(name, alpha):
    with pytest.raises(UsageError, match=rf"mixing: {name} is {alpha}; it must be 0 to 100"):
        Mixing(**{name: alpha})
