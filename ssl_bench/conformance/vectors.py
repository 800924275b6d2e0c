"""What every protocol relies on: the one vector of an image, a clip or a recording."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.embeddings import embed, embedding_dim
from ssl_bench.backbones.preflight import Finding
from ssl_bench.conformance.attempt import BATCH_TOLERANCE, Broken, NotOffered, Size, apart, attempt, tensor

BF16_COSINE = 0.9
"""Smallest cosine of a vector in bfloat16 and in float32: it has 8 bits of precision, so values agree to about 1 %."""


class Vectors:
    """The contract of ``forward`` on ``inputs`` (B, ...) of two or more different samples."""

    def __init__(self, backbone: Backbone, inputs: torch.Tensor) -> None:
        self.backbone, self.inputs = backbone, inputs

    @cached_property
    def together(self) -> torch.Tensor:
        found: torch.Tensor = self.backbone(self.inputs)
        return found

    def findings(self) -> Iterator[Finding]:
        """In order; what is asked later makes sense only if what was asked before holds."""
        for what, test in (
            ("is in evaluation mode", self.evaluation),
            ("gives (B, embed_dim) vectors", self.shape),
            ("gives the same vectors twice", self.repeats),
            ("treats each sample alone", self.alone),
            ("tells samples apart", self.differ),
        ):
            finding = attempt(what, test)
            yield finding
            if not finding.ok:
                return
        yield attempt("keeps its vectors in bfloat16", self.bfloat16)

    def evaluation(self) -> str:
        training = [name or "the model" for name, module in self.backbone.named_modules() if module.training]
        if training:
            raise Broken(f"in training mode: {', '.join(training[:3])}{' ...' if len(training) > 3 else ''}")
        return ""

    def shape(self) -> str:
        count, width = len(self.inputs), self.backbone.embed_dim
        tensor(self.together, f"forward of {count} samples", (count, width), f": embed_dim says {width}")
        return f"embed_dim {width}"

    def repeats(self) -> str:
        if not torch.equal(self.together, self.backbone(self.inputs)):
            raise Broken("the same samples give other vectors the second time: is something random in evaluation mode?")
        return ""

    def alone(self) -> str:
        """Vectors must not depend on the other samples of the batch (batch statistics), nor on its size or order."""
        each = [self.backbone(one[None]) for one in self.inputs]
        for part in each:
            tensor(part, "forward of one sample", (1, self.backbone.embed_dim))
        pair: torch.Tensor = self.backbone(self.inputs[:2].flip(0)).flip(0)
        far = max(apart(self.together, torch.cat(each)), apart(self.together[:2], pair))
        if far > BATCH_TOLERANCE:
            raise Broken(
                f"vectors depend on the batch (relative difference {far:.1e} between batches of {len(each)}, 2 and 1): "
                "batch norm in training mode?"
            )
        return f"relative difference {far:.0e}" if far else ""

    def differ(self) -> str:
        if not float(self.together.float().std(0).max()) > 0:
            raise Broken("all samples get the same vector")
        return ""

    def bfloat16(self) -> str:
        device = self.inputs.device.type
        if not torch.amp.is_autocast_available(device):
            raise NotOffered(f"no mixed precision on {device}")
        try:
            with torch.autocast(device, dtype=torch.bfloat16):
                found = self.backbone(self.inputs[:2])
        except Exception as error:
            raise NotOffered(f"--precision bf16: {type(error).__name__}: {error}") from error
        tensor(found, "forward under bfloat16 autocast", (2, self.backbone.embed_dim))
        cosine = float(torch.cosine_similarity(found.float(), self.together[:2].float()).min())
        if cosine < BF16_COSINE:
            raise Broken(f"vectors under bfloat16 autocast are others (cosine {cosine:.2f} with those in float32)")
        return f"cosine {cosine:.4f}"


def of_size(backbone: Backbone, images: torch.Tensor, size: Size) -> str:
    """``forward`` of images of another size."""
    why = f": embed_dim says {backbone.embed_dim}. Raise an error if it takes one size only"
    tensor(backbone(images), f"forward of 2 images of {size} pixels", (2, backbone.embed_dim), why)
    return ""


def resize(images: torch.Tensor, size: Size) -> torch.Tensor:
    """(B, 3, H, W) -> (B, 3, size)."""
    if tuple(images.shape[-2:]) == (size.height, size.width):
        return images
    return torch.nn.functional.interpolate(images, (size.height, size.width), mode="bilinear", antialias=True)


def named(backbone: Backbone, images: torch.Tensor, name: str) -> str:
    """A vector that the card names for some protocol, or that this network has of its own."""
    width = embedding_dim(backbone, name)
    tensor(embed(backbone, images[:2], name), f"embedding {name} of 2 images", (2, width))
    return f"{width} values"
