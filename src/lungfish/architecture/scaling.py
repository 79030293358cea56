"""Compound scaling: one coefficient that grows depth, width and resolution together."""

from __future__ import annotations

from dataclasses import dataclass

from lungfish.architecture.checks import check_number

MAX_PHI = 100.0


@dataclass(frozen=True)
class CompoundScaling:
    """What one unit of phi multiplies: depth by `alpha`, width by `beta`, resolution by `gamma`.

    Multiply-adds grow with `alpha * beta**2 * gamma**2`, about 2, so they about double with each unit of phi.

    Source: arXiv:1905.11946, equations 2 and 3.
    """

    alpha: float = 1.2
    beta: float = 1.1
    gamma: float = 1.15

    def factors(self, phi: float) -> tuple[float, float, float]:
        """The factors of width, depth and resolution. Raises `ArchitectureError` if phi is no number or absurd."""
        check_number("phi", phi, -MAX_PHI, MAX_PHI)
        return self.beta**phi, self.alpha**phi, self.gamma**phi


COMPOUND = CompoundScaling()
