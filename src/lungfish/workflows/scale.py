"""Scale a network, by factors or to a target, and write it to a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungfish.architecture import COMPOUND, Arch, parse_arch
from lungfish.core.errors import OutputError, UsageError
from lungfish.core.files import write_atomic
from lungfish.core.names import printable
from lungfish.costs import Solution, cost, solve


@dataclass(frozen=True)
class Scaling:
    """How to scale: by phi, by factors, or to one target.

    Args:
        phi: Compound coefficient.
        width: Factor of every width.
        depth: Factor of every depth.
        resolution: Side of the input, in pixels.
        macs: Largest number of multiply-adds.
        params: Largest number of parameters.
        memory_mb: Largest size of the fp32 activations held at once, in millions of bytes.
        by: What is varied to meet a target: `phi`, `width` or `resolution`.
    """

    phi: float | None = None
    width: float | None = None
    depth: float | None = None
    resolution: int | None = None
    macs: float | None = None
    params: float | None = None
    memory_mb: float | None = None
    by: str | None = None

    @property
    def factors(self) -> dict[str, float]:
        """The factors that were given."""
        given = {"phi": self.phi, "width": self.width, "depth": self.depth, "resolution": self.resolution}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def targets(self) -> dict[str, float]:
        """The targets that were given."""
        given = {"macs": self.macs, "params": self.params, "memory_mb": self.memory_mb}
        return {name: value for name, value in given.items() if value is not None}

    def __post_init__(self) -> None:
        example = "For example --phi 1, --width 0.75 --resolution 192, or --macs 600e6."
        if self.factors and self.targets:
            mixed = " and ".join(f"--{name.replace('_', '-')}" for name in (*self.factors, *self.targets))
            raise UsageError(f"{mixed} cannot be combined: give factors, or one target", example)
        if not self.factors and not self.targets:
            raise UsageError("neither a factor nor a target is given", example)
        if self.by is not None and not self.targets:
            raise UsageError(f"--by {printable(self.by)} needs a target", "For example --macs 600e6.")


@dataclass(frozen=True)
class Scaled:
    """A scaled network.

    Args:
        arch: The network.
        phi: Applied compound coefficient; 0 if there was none.
        params: Number of parameters.
        macs: Number of multiply-adds.
        solution: How it meets the target, if there was one.
    """

    arch: Arch
    phi: float
    params: int
    macs: int
    solution: Solution | None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.arch.name,
            "phi": self.phi,
            "alpha": COMPOUND.alpha,
            "beta": COMPOUND.beta,
            "gamma": COMPOUND.gamma,
            "width": self.arch.width,
            "depth": self.arch.depth,
            "resolution_px": self.arch.resolution_px,
            "params": self.params,
            "macs": self.macs,
        }


def scale(name: str, scaling: Scaling, out: Path | None = None) -> Scaled:
    """Scale a network.

    Args:
        name: Architecture name, or the path of its JSON file.
        scaling: How to scale.
        out: A .json file for the architecture, which every command accepts as a name.

    Raises:
        UsageError: The name is not a network, there is more than one target, `by` does not affect the target, or `out`
            cannot be used.
        ArchitectureError: The result is not a valid network, or no network meets the target.
        StorageError: The file cannot be written.
    """
    file = _check_arch_file(out) if out else None
    scaled = _scaled(parse_arch(name), scaling)
    if file:
        write_atomic(file, json.dumps(scaled.arch.to_json(), indent=2) + "\n")
    return scaled


def _scaled(arch: Arch, scaling: Scaling) -> Scaled:
    solution, phi = None, scaling.phi or 0.0
    if scaling.targets:
        memory_bytes = None if scaling.memory_mb is None else scaling.memory_mb * 1e6
        by = scaling.by or "phi"
        solution = solve(arch, macs=scaling.macs, params=scaling.params, memory_bytes=memory_bytes, by=by)
        arch, phi = solution.arch, solution.phi
    else:
        width = 1.0 if scaling.width is None else scaling.width
        depth = 1.0 if scaling.depth is None else scaling.depth
        arch = arch.scale(phi=phi, width=width, depth=depth, resolution=scaling.resolution)
    counted = cost(arch)
    return Scaled(arch, phi, counted.params, counted.macs, solution)


def _check_arch_file(path: Path) -> Path:
    """Return `path` if it ends in .json, and either does not exist or contains an architecture."""
    shown = printable(str(path))
    if path.suffix != ".json":
        raise OutputError(
            f"--out {shown} does not end in .json", "Commands recognize an architecture file by that ending."
        )
    if path.exists() or path.is_symlink():
        try:
            parse_arch(str(path))
        except UsageError:
            raise OutputError(f"{shown} exists and is not an architecture file", "Choose another --out.") from None
    return path
