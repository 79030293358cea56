"""Compound scaling: a single coefficient scales depth, width and resolution together."""

from __future__ import annotations

from dataclasses import dataclass

from lungfish.architecture.checks import check_number

MAX_PHI = 100.0


@dataclass(frozen=True)
class CompoundScaling:
    """The factors per unit of phi: `alpha` for depth, `beta` for width, `gamma` for resolution.

    Multiply-adds grow by `alpha * beta**2 * gamma**2`, so they roughly double with each unit of phi.

    Source: arXiv:1905.11946, equations 2 and 3.
    """

    alpha: float = 1.2
    beta: float = 1.1
    gamma: float = 1.15

    def factors(self, phi: float) -> tuple[float, float, float]:
        """Return the factors of width, depth and resolution. Raises `ArchitectureError` if phi is out of range."""
        check_number("phi", phi, -MAX_PHI, MAX_PHI)
        return self.beta**phi, self.alpha**phi, self.gamma**phi


COMPOUND = CompoundScaling()
