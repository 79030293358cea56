"""Speed of the networks against the same ones of timm and torchvision, turn by turn in one run.

Run: python benchmarks/networks.py. On the CPU in float32 with two threads, channels_last; where a GPU is at hand, also
there in bfloat16, eager and compiled. Prints a table, writes networks.json beside itself. A ratio is ours over theirs
in images per second, the median over the rounds. Needs the `bench` install.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import timm
import torch
import torchvision
from torch import Tensor, nn

import lungfish as lf
from lungfish.architecture import Flavour
from lungfish.runtime.measure import machine, versions

HERE = Path(__file__).parent
THREADS, WARM_UP_STEPS, ROUNDS, BUILDS = 2, 2, 10, 9
SIDE_PX = 224
SYMMETRIC = Flavour("symmetric", 1e-5)


@dataclass(frozen=True)
class Pair:
    """Our network and the same one of a peer, with the same stochastic depth and dropout."""

    arch: str
    flavour: Flavour
    peer: str
    build_peer: Callable[[], nn.Module]

    def build_ours(self) -> nn.Module:
        return lf.build(lf.arch(self.arch), flavour=self.flavour)


def of_timm(name: str, drop: float, drop_path: float = 0.0) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, drop_rate=drop, drop_path_rate=drop_path)


PAIRS = (
    Pair("mobilenet_v1", SYMMETRIC, "timm mobilenetv1_100", of_timm("mobilenetv1_100", 0.001)),
    Pair("mobilenet_v2", SYMMETRIC, "timm mobilenetv2_100", of_timm("mobilenetv2_100", 0.2)),
    Pair("mobilenet_v2", SYMMETRIC, "torchvision mobilenet_v2", torchvision.models.mobilenet_v2),
    Pair("efficientnet_b0", SYMMETRIC, "timm efficientnet_b0", of_timm("efficientnet_b0", 0.2, 0.2)),
    Pair("efficientnet_b0", SYMMETRIC, "torchvision efficientnet_b0", torchvision.models.efficientnet_b0),
    Pair("efficientnet_b0", Flavour(), "timm tf_efficientnet_b0", of_timm("tf_efficientnet_b0", 0.2, 0.2)),
    Pair("efficientnet_lite0", Flavour(), "timm tf_efficientnet_lite0", of_timm("tf_efficientnet_lite0", 0.2, 0.2)),
)


@dataclass(frozen=True)
class Config:
    """Where and how a step runs."""

    name: str
    device: str
    dtype: torch.dtype
    batch: int
    compiles: bool


def settings() -> tuple[Config, ...]:
    on_cpu = Config("cpu float32 eager", "cpu", torch.float32, 16, compiles=False)
    if not torch.cuda.is_available():
        return (on_cpu,)
    on_gpu = [
        Config(f"cuda bfloat16 {'compiled' if compiles else 'eager'}", "cuda", torch.bfloat16, 128, compiles)
        for compiles in (False, True)
    ]
    return (on_cpu, *on_gpu)


def main() -> None:
    torch.set_num_threads(THREADS)
    build_s = {name: measure_build(build) for name, build in builders().items()}
    rows = [row for config in settings() for pair in PAIRS for row in measure(pair, config)]
    header = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "packages": versions(("lungfish", "torch", "timm", "torchvision")),
        "threads": THREADS,
    }
    figures = header | {"build_s": build_s, "steps": [asdict(row) for row in rows]}
    (HERE / "networks.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print_tables(build_s, rows)


def builders() -> dict[str, Callable[[], nn.Module]]:
    return {
        "lungfish": lambda: lf.build(lf.arch("efficientnet_b0")),
        "timm": lambda: timm.create_model("efficientnet_b0"),
        "torchvision": torchvision.models.efficientnet_b0,
    }


def measure_build(build: Callable[[], nn.Module]) -> float:
    """Median seconds to build B0 with its initialization."""
    return statistics.median(seconds(build) for _ in range(BUILDS))


@dataclass(frozen=True)
class Steps:
    """Images per second of a pair, a number for each round."""

    arch: str
    peer: str
    config: str
    what: str
    ours: list[float]
    theirs: list[float]

    @property
    def ratios(self) -> list[float]:
        return sorted(a / b for a, b in zip(self.ours, self.theirs, strict=True))


def measure(pair: Pair, config: Config) -> list[Steps]:
    """Eval and train steps of both, in turns; who goes first changes with every round.

    The one that is built first was 3 % slower, whichever it was: its tensors lie elsewhere. So each is first once.
    """
    builders = {"ours": pair.build_ours, "theirs": pair.build_peer}
    rates: dict[str, dict[str, list[float]]] = {what: {name: [] for name in builders} for what in ("eval", "train")}
    for order in (sorted(builders), sorted(builders, reverse=True)):
        steppers = {name: Stepper(builders[name](), config) for name in order}
        for what, of_name in rates.items():
            for name in order * WARM_UP_STEPS:  # the first also allocates, or compiles
                getattr(steppers[name], what)()
            for number in range(ROUNDS):
                for name in sorted(builders, reverse=number % 2 == 1):
                    of_name[name].append(config.batch / seconds(getattr(steppers[name], what)))
    return [Steps(pair.arch, pair.peer, config.name, what, **of_name) for what, of_name in rates.items()]


class Stepper:
    """A network with a batch of random pixels, and what one step of it is."""

    def __init__(self, network: nn.Module, config: Config) -> None:
        self.config = config
        self.network = network.to(config.device).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.01, momentum=0.9)
        shape = (config.batch, 3, SIDE_PX, SIDE_PX)
        self.x_nchw = torch.randn(shape, device=config.device).contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(1000, (config.batch,), device=config.device)
        self.forward: Callable[[Tensor], Tensor] = torch.compile(self.network) if config.compiles else self.network

    def logits(self) -> Tensor:
        dtype = self.config.dtype
        with torch.autocast(self.config.device, dtype, enabled=dtype != torch.float32):
            return self.forward(self.x_nchw)

    def eval(self) -> None:
        self.network.eval()
        with torch.inference_mode():
            self.logits()
        self.wait()

    def train(self) -> None:
        self.network.train()
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.logits().float(), self.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.wait()

    def wait(self) -> None:
        if self.config.device == "cuda":
            torch.cuda.synchronize()


def seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def print_tables(build_s: dict[str, float], rows: list[Steps]) -> None:
    """Markdown, for the page that quotes it."""
    print("build B0: " + ", ".join(f"{name} {value:.3f} s" for name, value in build_s.items()) + "\n")
    print("| network | peer | setting | step | ours, images/s | theirs | ratio | rounds' ratios |")
    print("|---|---|---|---|---:|---:|---:|---|")
    for row in rows:
        ours, theirs = statistics.median(row.ours), statistics.median(row.theirs)
        spread = f"{row.ratios[0]:.2f} to {row.ratios[-1]:.2f}"
        print(
            f"| {row.arch} | {row.peer} | {row.config} | {row.what} | {ours:.1f} | {theirs:.1f} | "
            f"{statistics.median(row.ratios):.2f} | {spread} |"
        )


if __name__ == "__main__":
    main()
