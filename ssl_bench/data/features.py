"""Features: one vector an image, extracted once and kept on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Split
from ssl_bench.data.fast import pipeline
from ssl_bench.data.feature_key import key_parts
from ssl_bench.data.loader import image_batches
from ssl_bench.data.store import Entry, Stored, Writer, key_of
from ssl_bench.errors import FeatureError, ImageError

BLOCK = 4096
"""Images between two journal lines: what a kill can cost at most."""


@dataclass(frozen=True)
class Features:
    """``x``: (N, D) float32, possibly memory-mapped; ``y``: (N,) int64 labels; ``index``: (N,) positions in the split.

    ``classes``: number of classes of the data set. ``broken``: identities of images that could not be read and were skipped.
    """

    x: np.ndarray
    y: np.ndarray
    index: np.ndarray
    classes: int
    broken: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, classes: int | None = None) -> Features:
        """Features from plain arrays."""
        y = np.asarray(y)
        y = (
            y.astype(np.int64) if np.issubdtype(y.dtype, np.integer) else y
        )  # anything else is refused where it is scored
        return cls(np.asarray(x, dtype=np.float32), y, np.arange(len(y)), classes or int(y.max(initial=-1)) + 1)


def extract(backbone: Backbone, split: Split, compute: Compute, embedding: str = "default") -> Features:
    """Features of all images of ``split``; taken from the store when this exact entry is there."""
    return extract_many(backbone, split, compute, [embedding])[embedding]


def extract_many(backbone: Backbone, split: Split, compute: Compute, embeddings: Sequence[str]) -> dict[str, Features]:
    """Several embeddings (names of ``backbones.embeddings``) in one pass over the images.

    Errors: :class:`ImageError` for an image that cannot be read (unless ``compute.skip_broken``), :class:`FeatureError`
    for vectors that are not finite, :class:`StoreError` when the cache cannot be written.
    """
    parts = {name: key_parts(backbone, split, compute, name) for name in embeddings}
    entries = {name: Entry(compute.cache, key_of(parts[name])) for name in parts}
    stored = {name: entry.read() for name, entry in entries.items()}
    if not all(stored.values()):
        with ExitStack() as locks:
            # in one order everywhere, so that two processes never wait for each other
            for entry in sorted((entries[name] for name in entries if not stored[name]), key=lambda e: e.key):
                locks.enter_context(entry.lock(compute.progress))
            stored = {name: entry.read() for name, entry in entries.items()}
            missing = {name: Writer(entries[name], len(split)) for name in entries if not stored[name]}
            if missing:
                _Extraction(backbone, split, compute, missing).run()
                for name, writer in missing.items():
                    writer.finish(_meta(backbone, split, name, parts[name]))
                    stored[name] = entries[name].read()
    return {name: _features(split, compute, found) for name, found in stored.items() if found is not None}


def _features(split: Split, compute: Compute, stored: Stored) -> Features:
    broken = tuple(identity for _, identity in stored.meta["broken"])
    if broken and not compute.skip_broken:
        raise ImageError(
            f"{broken[0]}: cannot be read as an image ({len(broken)} such images).",
            "Put intact copies there, or leave them out with --skip-broken.",
        )
    return Features(stored.x, split.labels[stored.index], stored.index, len(split.classes), broken)


def _meta(backbone: Backbone, split: Split, embedding: str, parts: dict[str, object]) -> dict[str, object]:
    return {"model": backbone.name, "dataset": split.name, "embedding": embedding, "images": len(split), "key": parts}


class _Extraction:
    """One pass over the images that some writers still need."""

    def __init__(self, backbone: Backbone, split: Split, compute: Compute, writers: dict[str, Writer]) -> None:
        self.backbone, self.split, self.compute, self.writers = backbone, split, compute, writers
        self.batch_size = compute.batch_size or (64 if compute.device.type == "cpu" else 256)
        self.broken: list[tuple[int, str]] = []

    def run(self) -> None:
        start = min(writer.position for writer in self.writers.values())
        done = start
        what = f"features of {self.backbone.name} on {self.split.name}"
        with evaluating(self.backbone, self.compute), self.compute.progress.bar(what, len(self.split)) as advance:
            advance(start)
            for index, images in self._batches(start):
                for name, x in self._embed(images).items():
                    self._check(name, x, index)
                    self.writers[name].append(x, index)
                position = int(index[-1]) + 1
                if position - start >= BLOCK:
                    self._commit(position)
                    start = position
                advance(position - done)
                done = position
            self._commit(len(self.split))
        if not all(writer.rows for writer in self.writers.values()):
            raise FeatureError(f"None of the {len(self.split)} images of {self.split.name} can be read.")

    def _batches(self, start: int) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        compute = self.compute
        return image_batches(
            self.split,
            pipeline(self.backbone.preprocess, compute),
            np.arange(start, len(self.split)),
            self.batch_size,
            compute.workers,
            device=compute.device,
            on_broken=self._skip if compute.skip_broken else None,
        )

    def _skip(self, index: int, error: ImageError) -> None:
        file = self.split.file(index)
        self.broken.append((index, str(file or self.split.identity(index))))
        self.compute.progress.note(f"Skipped: {error.message}")

    def _commit(self, position: int) -> None:
        for writer in self.writers.values():
            writer.commit(position, [(at, name) for at, name in self.broken if at < position])

    def _embed(self, images: torch.Tensor) -> dict[str, np.ndarray]:
        """All embeddings of a batch; after an out-of-memory in pieces of half the size, from then on."""
        while True:
            try:
                pieces = [self._forward(piece) for piece in torch.split(images, self.batch_size)]
                return {name: np.concatenate([piece[name] for piece in pieces]) for name in self.writers}
            except RuntimeError as error:
                if not _out_of_memory(error):
                    raise
                if self.batch_size == 1:
                    raise FeatureError(
                        f"Model {self.backbone.name} does not fit into the memory of {self.compute.device}, "
                        f"even with one image at a time.",
                        "Use --device cpu, or --precision bf16.",
                    ) from error
            # outside the except block, where the error still holds the tensors of the failed forward
            self.batch_size = (min(self.batch_size, len(images)) + 1) // 2
            if self.compute.device.type == "cuda":
                torch.cuda.empty_cache()
            self.compute.progress.note(f"Out of memory: going on with batches of {self.batch_size}.")

    def _forward(self, images: torch.Tensor) -> dict[str, np.ndarray]:
        from ssl_bench.backbones.embeddings import embed

        with self.compute.autocast():
            vectors = {name: embed(self.backbone, images, name) for name in self.writers}
        return {name: x.float().cpu().numpy() for name, x in vectors.items()}

    def _check(self, name: str, x: np.ndarray, index: np.ndarray) -> None:
        if x.ndim != 2 or len(x) != len(index):
            raise FeatureError(
                f"Model {self.backbone.name}: {len(index)} images gave an array {x.shape} as {name} embedding.",
                "A model must map (B, 3, H, W) to (B, D).",
            )
        bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
        if len(bad):
            where = int(index[bad[0]])
            raise FeatureError(
                f"Model {self.backbone.name}: the features of {self.split.file(where) or f'image {where}'} are not finite "
                f"({len(bad)} of {len(x)} images of its batch).",
                "Check the checkpoint; with --precision fp16 try bf16 or fp32.",
            )


@contextmanager
def evaluating(backbone: Backbone, compute: Compute) -> Iterator[None]:
    """Evaluation mode without gradients on the device; every module's own mode is put back afterwards."""
    modes = [(module, module.training) for module in backbone.modules()]
    backbone.to(compute.device).eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes:
            module.training = training


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in ("can't allocate memory", "not enough memory", "out of memory")
    )
