"""Peak memory against an account that simulates an allocator, step by step."""

from __future__ import annotations

from math import prod

import pytest

from lungfish.architecture import INPUT, NAMED, Arch, Op, lower
from lungfish.costs.memory import expansions, peak_activations


def chain(*sizes: int) -> list[Op]:
    """Convolutions of 1x1 pictures with so many channels."""
    names = [INPUT, *(f"c{i}" for i in range(len(sizes) - 1))]
    shapes = [(size, 1, 1) for size in sizes]
    return [Op(names[i + 1], "conv", (names[i],), shapes[i], shapes[i + 1]) for i in range(len(sizes) - 1)]


def simulated(ops: tuple[Op, ...]) -> int:
    """Fold norms and activations away first; then reference counts."""
    alias: dict[str, str] = {INPUT: INPUT}
    kept = []
    for op in ops:
        inputs = tuple(alias[name] for name in op.inputs)
        if op.kind in ("norm", "act", "dropout"):
            alias[op.name] = inputs[0]
        else:
            alias[op.name] = op.name
            kept.append((op, inputs))
    readers = {INPUT: 1}
    for _, inputs in kept:
        for name in inputs:
            readers[name] = readers.get(name, 0) + 1
    readers[INPUT] -= 1
    sizes = {INPUT: prod(ops[0].in_shape)}
    held, peak = sum(sizes.values()), 0
    for op, inputs in kept:
        sizes[op.name] = prod(op.out_shape)
        reuses = op.kind in ("add", "mul") and readers[inputs[0]] == 1
        held += 0 if reuses else sizes[op.name]
        peak = max(peak, held)
        for name in inputs:
            readers[name] -= 1
            if readers[name] == 0 and not (reuses and name == inputs[0]):
                held -= sizes[name]
    assert held == sizes["classifier"]
    return peak


@pytest.mark.parametrize("arch", NAMED.values(), ids=lambda arch: arch.name)
@pytest.mark.parametrize("phi", [-1.5, 0, 0.7])
def test_against_a_simulated_allocator(arch: Arch, phi: float) -> None:
    ops = lower(arch.scale(phi=phi))
    assert peak_activations(ops).elements == simulated(ops)


def test_a_chain_holds_an_input_and_an_output() -> None:
    peak = peak_activations(chain(3, 10, 20, 5))
    assert (peak.elements, peak.at) == (30, "c1")


def test_a_shortcut_is_held_until_it_is_added() -> None:
    ops = chain(4, 10, 6, 10)
    ops.append(Op("sum", "add", ("c2", "c0"), (10, 1, 1), (10, 1, 1)))
    assert peak_activations(ops).elements == 10 + 6 + 10


def test_an_in_place_operation_spares_what_is_read_later() -> None:
    ops = chain(4, 10)
    ops.append(Op("act", "act", ("c0",), (10, 1, 1), (10, 1, 1)))
    assert peak_activations(ops).elements == 14
    ops.append(Op("sum", "add", ("act", "c0"), (10, 1, 1), (10, 1, 1)))
    assert peak_activations(ops).elements == 20


def test_what_is_streamed_takes_no_room_but_its_source_does() -> None:
    ops = chain(4, 100, 100, 8)
    assert peak_activations(ops, {"c0", "c1"}).elements == 4 + 8


def test_only_inverted_residuals_are_streamed() -> None:
    assert not expansions(lower(NAMED["mobilenet_v1"]))
    v2, b0 = expansions(lower(NAMED["mobilenet_v2"])), expansions(lower(NAMED["efficientnet_b0"]))
    assert {"blocks.1.expand.conv", "blocks.1.expand.act", "blocks.1.depthwise.norm"} <= v2
    assert "blocks.1.expand.norm" in b0
    assert "blocks.1.depthwise.conv" not in b0
