"""The peer of `transfer.py`: timm's `train.py` on the same photos from the same weights. One run, recorded once.

Run: python benchmarks/transfer_peer.py [FOLDER] [--out FILE], about 45 minutes on two quiet cores for clothing-small;
writes transfer_peer.json beside itself. FOLDER holds `train`, maybe `validation`, and `test`. timm's script is not part
of its package, so its steps are taken here from its parts: loader, augmentation, optimizer, schedule, at the script's
defaults but for what SETTINGS name. Hardware and versions are in the JSON. The accuracy does not depend on the
machine's load; the wall time does.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from timm.data import ImageDataset, create_loader, resolve_data_config
from timm.loss import LabelSmoothingCrossEntropy
from timm.models import create_model
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2

from lungfish.runtime.cores import physical_cores
from lungfish.runtime.measure import machine, versions
from lungfish.weights.catalogue import find_entry
from lungfish.weights.fetch.fetch import local_file

HERE = Path(__file__).parent
SETTINGS: dict[str, Any] = {
    "opt": "adamw",
    "lr": 5e-4,
    "weight_decay": 0.01,
    "epochs": 10,
    "warmup_epochs": 1,
    "warmup_lr": 1e-5,
    "batch": 64,
    "smoothing": 0.1,
    "seed": 0,
}
SPLITS = {"train": "train", "val": "validation", "test": "test"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=HERE.parents[1] / "shared" / "data" / "clothing-small")
    parser.add_argument("--out", type=Path, default=HERE / "transfer_peer.json")
    options = parser.parse_args()
    torch.set_num_threads(physical_cores())
    torch.manual_seed(SETTINGS["seed"])
    network = peer_network(classes=sum(place.is_dir() for place in (options.folder / "train").iterdir()))
    places = {split: options.folder / name for split, name in SPLITS.items()}
    loaders = {split: peer_loader(place, network, split) for split, place in places.items() if place.is_dir()}
    optimizer = create_optimizer_v2(network, SETTINGS["opt"], SETTINGS["lr"], SETTINGS["weight_decay"])
    steps = len(loaders["train"])
    schedule, _ = create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=SETTINGS["epochs"],
        warmup_epochs=SETTINGS["warmup_epochs"],
        warmup_lr=SETTINGS["warmup_lr"],
        step_on_epochs=False,
        updates_per_epoch=steps,
    )
    loss = LabelSmoothingCrossEntropy(SETTINGS["smoothing"])
    epochs, trained_s = [], 0.0
    for epoch in range(SETTINGS["epochs"]):
        began = time.perf_counter()
        network.train()
        for batch, (inputs, labels) in enumerate(loaders["train"]):
            peer_step(network, optimizer, loss, inputs, labels)
            schedule.step_update(epoch * steps + batch + 1)
        val = top1(network, loaders["val"]) if "val" in loaders else None
        trained_s += time.perf_counter() - began
        row = {"epoch": epoch, "seconds": trained_s, "val": val, "test": top1(network, loaders["test"])}
        print(row, flush=True)
        epochs.append(row)
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "packages": versions(("timm", "torch", "torchvision", "pillow")),
        "settings": SETTINGS,
        "threads": torch.get_num_threads(),
        "epochs": epochs,
        "wall_s": trained_s,  # training and validation; its test photos are for us
        "test_top1_last": epochs[-1]["test"],
        "test_top1_of_best_val": max(epochs, key=lambda row: row["val"] or 0.0)["test"] if "val" in loaders else None,
    }
    options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def peer_network(classes: int) -> Any:
    """timm's EfficientNet-Lite0 with the packaged weights, tensor by tensor in order, and a new classifier."""
    entry = find_entry("efficientnet_lite0.in1k")
    path = local_file(entry)
    assert path, f"{entry.name} is not installed"
    ours = list(torch.load(path, weights_only=True).values())
    network = create_model("tf_efficientnet_lite0")
    theirs = network.state_dict()
    assert len(ours) == len(theirs)
    for (name, tensor), value in zip(theirs.items(), ours, strict=True):
        assert tensor.shape == value.shape, name
        tensor.copy_(value)
    network.reset_classifier(classes)
    return network.to(memory_format=torch.channels_last)


def peer_loader(folder: Path, network: Any, split: str) -> Any:
    """timm's loader at its script's defaults: random resized crop from 0.08, flip, color jitter 0.4."""
    config = resolve_data_config({}, model=network)
    training = {"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3), "hflip": 0.5, "color_jitter": 0.4}
    return create_loader(
        ImageDataset(str(folder)),
        input_size=config["input_size"],
        batch_size=SETTINGS["batch"],
        is_training=split == "train",
        interpolation="random" if split == "train" else config["interpolation"],
        mean=config["mean"],
        std=config["std"],
        crop_pct=config["crop_pct"],
        num_workers=1,
        persistent_workers=split == "train",
        use_prefetcher=False,
        device=torch.device("cpu"),
        **(training if split == "train" else {}),
    )


def peer_step(network: Any, optimizer: Any, loss: Any, inputs: torch.Tensor, labels: torch.Tensor) -> None:
    """One step as timm's script takes it."""
    output = loss(network(inputs.contiguous(memory_format=torch.channels_last)), labels)
    optimizer.zero_grad()
    output.backward()
    optimizer.step()


def top1(network: Any, loader: Any) -> float:
    """Share of right answers."""
    network.eval()
    right = count = 0
    with torch.inference_mode():
        for inputs, labels in loader:
            right += int((network(inputs).argmax(dim=1) == labels).sum())
            count += len(labels)
    return right / count


if __name__ == "__main__":
    main()
