"""What the parity tests share: random reference networks, pictures, the judgement, and the table at the end.

A reference network is given random scales and shifts, and batch-norm statistics from one pass in training mode, so
that activations stay of order one: at their initialization these networks give logits near 1e-5, where any bound would
hold. A difference is judged against the spread of the logits over a batch of random and real pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from .page import Page

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "imagenet-samples"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Compared:
    """One measured comparison: the largest difference of a logit, in units of the spread of the logits."""

    library: str
    network: str
    what: str
    difference: float
    bound: float


@dataclass
class Report:
    """All comparisons of a run."""

    rows: list[Compared] = field(default_factory=list)

    def judge(self, row: Compared) -> None:
        """Note the row; fail if it is not within its bound."""
        self.rows.append(row)
        assert row.difference <= row.bound, row

    def lines(self) -> list[str]:
        """A Markdown table of the comparisons, and one of the planted errors, in an order that no run changes."""
        rows = sorted(self.rows, key=lambda row: (row.library, row.network, row.what))
        sound = [row for row in rows if not row.what.startswith("wrong")]
        planted = [row for row in rows if row.what.startswith("wrong")]
        return [*_table("compared", sound), "", *_table("planted error", planted)]


def _table(what: str, rows: list[Compared]) -> list[str]:
    return [f"| library | network | {what} | difference | bound |", "|---|---|---|---:|---:|"] + [
        f"| {row.library} | {row.network} | {row.what} | {row.difference:.1e} | {row.bound:.0e} |" for row in rows
    ]


REPORT = pytest.StashKey[Report]()
PAGE = pytest.StashKey[Page | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--parity-page", type=Path, help="write the table of a complete run that passes to this Markdown file"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORT] = Report()
    path = config.getoption("--parity-page", None)
    config.stash[PAGE] = page = Page(path, config.args) if path else None
    if page:
        config.pluginmanager.register(page)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    report, page = config.stash[REPORT], config.stash[PAGE]
    if report.rows:
        terminalreporter.section("parity: largest difference, in units of the spread of the logits")
        for line in report.lines():
            terminalreporter.write_line(line)
    if page:
        terminalreporter.write_line(page.outcome)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    page, report = session.config.stash[PAGE], session.config.stash[REPORT]
    if hasattr(session.config, "workeroutput"):  # one of several processes: the main one writes
        session.config.workeroutput["parity"] = [astuple(row) for row in report.rows]
        session.config.workeroutput["deselected"] = page.deselected if page else 0
    elif page:
        page.write(report.lines(), exitstatus)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what a process of pytest-xdist has compared."""
    output, config = getattr(node, "workeroutput", {}), node.config
    config.stash[REPORT].rows += [Compared(*row) for row in output.get("parity", ())]
    if config.stash[PAGE]:
        config.stash[PAGE].deselected += output.get("deselected", 0)


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    return pytestconfig.stash[REPORT]


@pytest.fixture
def compared() -> type[Compared]:
    return Compared


def _pictures(side_px: int, count: int) -> Tensor:
    """A batch of float64 `[n, 3, side, side]` of order one: `count` random pictures, and as many photos if at hand."""
    generator = torch.Generator().manual_seed(side_px)

    def random(side: int) -> Tensor:
        """Random numbers on a grid, enlarged: a color, clouds, or noise."""
        numbers = torch.randn((count, 3, side, side), generator=generator, dtype=torch.float64)
        return nn.functional.interpolate(numbers, (side_px, side_px))

    pictures = (random(1) + random(7) + random(side_px)) / 3**0.5
    if not SAMPLES.is_dir():
        return pictures
    paths = sorted(SAMPLES.glob("*.jpg"))[:: 1000 // count][:count]
    pixels = np.stack([np.asarray(Image.open(path).convert("RGB").resize((side_px, side_px))) for path in paths])
    photos = torch.from_numpy((pixels / 255 - MEAN) / STD).permute(0, 3, 1, 2)
    return torch.cat([pictures, photos]).contiguous()


@pytest.fixture(scope="session")
def pictures() -> Callable[[int, int], Tensor]:
    return _pictures


@pytest.fixture(scope="session")
def randomize() -> Callable[[nn.Module, Tensor], nn.Module]:
    """Give a network of any library random weights; returns it in float64 and eval mode, its weights float32 exactly.

    Batch norm's statistics are those of one pass over the given pictures in training mode.
    """
    return _randomize


def _randomize(network: nn.Module, x_nchw: Tensor) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
        nn.init.normal_(norm.bias, 0.5, 0.3, generator=generator)  # around 0, rounding grows faster with depth
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            nn.init.normal_(module.weight, 0.0, fan_in**-0.5, generator=generator)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0.0, 0.5, generator=generator)
    network.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        network(x_nchw.float())
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval().double()


@pytest.fixture(scope="session")
def difference() -> Callable[[Tensor, Tensor], float]:
    """Largest difference of logits `[n, classes]`, in units of the spread of those expected."""
    return _difference


def _difference(logits: Tensor, expected: Tensor) -> float:
    spread = expected.std(dim=0).mean().item()
    assert 0.05 < spread < 20, f"logits with a spread of {spread} prove nothing"
    return (logits - expected).abs().max().item() / spread
