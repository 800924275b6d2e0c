"""From JPEG files to normalised batches on one core: our ``fast`` and ``exact`` pipelines against torchvision's.

    python -m benchmarks.pipeline [FOLDER]

The peer is what the authors' scripts do: ``PIL`` decoding, torchvision's ``Resize(256)``, bicubic or bilinear, ``CenterCrop(224)``,
``ToTensor``, ``Normalize`` in a ``DataLoader`` without workers. FOLDER holds JPEG files; without it, photographs that
come with scikit-learn are cut into images of ImageNet's typical 500 x 375 pixels (quality 90).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_sample_images
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T

from ssl_bench.cards import PreprocessCard
from ssl_bench.data.fast import FastPreprocess
from ssl_bench.data.loader import image_batches
from ssl_bench.data.splits import FileSplit
from ssl_bench.data.transforms import Preprocess

BATCH = 32
REPEATS = 7


class Peer(Dataset[torch.Tensor]):
    """The authors' loader."""

    def __init__(self, split: FileSplit, card: PreprocessCard) -> None:
        self.split = split
        steps = [T.Resize(256, T.InterpolationMode(card.interpolation)), T.CenterCrop(224), T.ToTensor()]
        self.transform = T.Compose([*steps, T.Normalize(card.mean, card.std)])

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> torch.Tensor:
        with self.split.file(index).open("rb") as file:
            prepared: torch.Tensor = self.transform(Image.open(file).convert("RGB"))
        return prepared


def photographs(folder: Path, count: int = 64, size: tuple[int, int] = (500, 375), quality: int = 90) -> None:
    """Write ``count`` JPEG files: random cuts of scikit-learn's two photographs (640 x 427), in both orientations."""
    random = np.random.RandomState(0)
    sources = [Image.fromarray(image) for image in load_sample_images().images]
    for number in range(count):
        source = sources[number % 2]
        left, top = random.randint(source.width - size[0]), random.randint(source.height - size[1])
        cut = source.crop((left, top, left + size[0], top + size[1]))
        cut = cut.transpose(Image.Transpose.ROTATE_90) if number % 4 == 3 else cut
        cut.save(folder / f"{number:03d}.jpg", quality=quality)


def measure(folder: Path, interpolation: Literal["bicubic", "bilinear"] = "bicubic") -> dict[str, float]:
    """Times as ratios to the peer's (processor seconds, best of several alternating rounds), and pixel differences."""
    paths = sorted(path.name for path in folder.iterdir())
    split, card = FileSplit(folder, paths, [0] * len(paths), ["all"]), PreprocessCard(interpolation=interpolation)
    exact, fast, order = Preprocess(card), FastPreprocess(card), np.arange(len(paths))
    runs: dict[str, Callable[[], object]] = {
        "peer": lambda: list(DataLoader(Peer(split, card), batch_size=BATCH)),
        "exact": lambda: list(image_batches(split, exact, order, BATCH)),
        "fast": lambda: list(image_batches(split, fast, order, BATCH)),
    }
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(REPEATS):
        for name, run in runs.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], (time.process_time() - start) / len(paths))
    ours = [(exact.load(split, i).int() - fast.load(split, i).int()).abs() for i in range(len(paths))]
    peer = torch.stack([Peer(split, card)[i] for i in range(len(paths))])
    return {
        "peer_ms": best["peer"] * 1e3,
        "exact_ms": best["exact"] * 1e3,
        "fast_ms": best["fast"] * 1e3,
        "exact_speedup": best["peer"] / best["exact"],
        "fast_speedup": best["peer"] / best["fast"],
        "exact_is_peer": float(torch.equal(torch.cat([x for _, x in image_batches(split, exact, order, BATCH)]), peer)),
        "fast_largest_difference": float(max(x.max() for x in ours)),
        "fast_different_percent": 100 * float(torch.stack(ours).gt(0).float().mean()),
    }


def main() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if len(sys.argv) > 1:
            show(Path(sys.argv[1]))
        else:
            with tempfile.TemporaryDirectory() as made:
                photographs(Path(made))
                show(Path(made))
    finally:
        torch.set_num_threads(threads)


def show(folder: Path) -> None:
    """A table and a line on the differences for each interpolation."""
    for interpolation in ("bicubic", "bilinear"):
        found = measure(folder, interpolation)
        title = f"JPEG file to normalised batch, {interpolation}"
        table = Table("pipeline", "ms an image and core", "times the peer's speed", title=title)
        table.add_row("torchvision/PIL", f"{found['peer_ms']:.2f}", "1.00")
        for name in ("exact", "fast"):
            table.add_row(name, f"{found[f'{name}_ms']:.2f}", f"{found[f'{name}_speedup']:.2f}")
        Console().print(table)
        Console().print(
            f"exact gives the peer's numbers bit by bit: {bool(found['exact_is_peer'])}; fast differs by at most "
            f"{found['fast_largest_difference']:.0f}/255, on {found['fast_different_percent']:.4f} % of the pixel values"
        )


if __name__ == "__main__":
    main()
