"""CLIP's two towers, built by open_clip: the image tower is the backbone, the text tower serves zero-shot evaluation.

open_clip is imported when the first CLIP is built, and not before.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ssl_bench.backbones.backbone import Backbone, Layer
from ssl_bench.backbones.positions import interpolate
from ssl_bench.backbones.pyramid import pyramid
from ssl_bench.backbones.stages import StagedBackbone
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import SettingsError, UnknownNameError

PREFIX = "open_clip:"
_OTHER_TOWERS = ("custom_text", "multimodal_cfg", "hf_model_name", "timm_model_name")


def build(arch: str, arch_args: dict[str, Any]) -> nn.Module:
    """``open_clip:<name>`` with random weights. ``arch_args`` change fields of open_clip's configuration of that name:
    ``{quick_gelu: true, vision_cfg: {layers: 2}}``."""
    import open_clip

    name = arch.removeprefix(PREFIX)
    if (config := open_clip.get_model_config(name)) is None:
        raise UnknownNameError("arch", arch, [f"{PREFIX}{known}" for known in open_clip.list_models()])
    foreign = {key for part in (config, config["vision_cfg"], config["text_cfg"]) for key in part} & {*_OTHER_TOWERS}
    if foreign:
        raise SettingsError(
            f"arch {arch}: its towers are not CLIP's own ({', '.join(sorted(foreign))} in open_clip's configuration).",
            "Only CLIP's ViTs and ResNets can be built this way; give others as timm models.",
        )
    for key, value in arch_args.items():
        config[key] = {**config[key], **value} if isinstance(config.get(key), dict) else value
    module: nn.Module = open_clip.CLIP(**config)
    return module


def fits(module: nn.Module) -> bool:
    open_clip = sys.modules.get("open_clip")
    return open_clip is not None and isinstance(module, open_clip.CLIP)


def wrap(module: nn.Module, embedding: str, preprocess: Preprocess, name: str) -> ClipBackbone:
    """The backbone for its kind of image tower."""
    kind = ClipViTBackbone if hasattr(module.visual, "transformer") else ClipResNetBackbone
    return kind(module, embedding, preprocess, name)


class ClipBackbone(Backbone):
    """``embedding``: ``projected`` (and ``default``) is the image's vector in the space shared with texts, what
    ``encode_image`` gives, not normalised: (B, E); ``pre_projection`` is the vector before the linear projection to that
    space, which the paper probes linearly: (B, D)."""

    joint = "projected"

    def __init__(self, module: Any, embedding: str, preprocess: Preprocess, name: str, token_dim: int) -> None:
        super().__init__()
        self.module: Any = module
        self.token_dim = token_dim
        self.own_embeddings = {"projected": module.visual.output_dim, "pre_projection": token_dim}
        embedding = "projected" if embedding == "default" else embedding
        if embedding not in self.own_embeddings:
            raise SettingsError(
                f"Model {name}: a CLIP has no embedding {embedding!r}.", "Use projected (default) or pre_projection."
            )
        self.embedding, self.preprocess, self.name = embedding, preprocess, name
        self.embed_dim = self.own_embeddings[embedding]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.own_embedding(images, self.embedding)

    def own_embedding(self, images: torch.Tensor, name: str) -> torch.Tensor:
        before = self._before_projection(images)
        return self._project(before) if name == "projected" else before

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, context length) token ids of :attr:`tokenizer` -> (B, E), not normalised."""
        texts: torch.Tensor = self.module.encode_text(tokens)
        return texts

    @cached_property
    def tokenizer(self) -> Any:
        """List of texts -> (B, context length) token ids; longer texts are cut off."""
        from open_clip.tokenizer import SimpleTokenizer

        return SimpleTokenizer(context_length=self.module.context_length)

    @property
    def logit_scale(self) -> float:
        """What cosine similarities are multiplied with to give logits: exp of the learned parameter, 100 at most."""
        return math.exp(self.module.logit_scale.item())

    def _before_projection(self, images: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def _project(self, vectors: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class ClipViTBackbone(ClipBackbone):
    """At another resolution the positions are resampled as open_clip does it: bicubic with a low-pass filter."""

    def __init__(self, module: Any, embedding: str, preprocess: Preprocess, name: str) -> None:
        super().__init__(module, embedding, preprocess, name, module.visual.conv1.out_channels)

    def layers(self, images: torch.Tensor, last: int = 1) -> list[Layer]:
        blocks = self.module.visual.transformer.resblocks
        if not 1 <= last <= len(blocks):
            raise SettingsError(f"Model {self.name} has {len(blocks)} blocks; the last {last} were asked for.")
        return self.layers_at(images, range(len(blocks) - last, len(blocks)))

    @property
    def depth(self) -> int:
        return len(self.module.visual.transformer.resblocks)

    def layers_at(self, images: torch.Tensor, numbers: Sequence[int], norm: bool = True) -> list[Layer]:
        visual, found = self.module.visual, {}
        tokens = self._embed(images)
        for number, block in enumerate(visual.transformer.resblocks[: max(numbers) + 1]):
            tokens = block(tokens)
            if number in numbers:
                found[number] = self._layer(visual.ln_post(tokens) if norm else tokens, images)
        return [found[number] for number in numbers]

    def pyramid(self, images: torch.Tensor) -> list[torch.Tensor]:
        return pyramid([self.layers(images)[0].map], (images.shape[-2], images.shape[-1]))

    def attention(self, images: torch.Tensor) -> torch.Tensor:
        """softmax(q_cls k^T / sqrt(d)) over all tokens; the columns of the patches (they sum to less than 1)."""
        *before, block = self.module.visual.transformer.resblocks
        tokens = self._embed(images)
        for earlier in before:
            tokens = earlier(tokens)
        attn, (batch, count, width) = block.attn, tokens.shape
        joint = F.linear(block.ln_1(tokens), attn.in_proj_weight, attn.in_proj_bias)
        heads = joint.reshape(batch, count, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
        query, key = heads[0][:, :, :1], heads[1]
        weights = (query @ key.transpose(-2, -1) * (width // attn.num_heads) ** -0.5).softmax(dim=-1)
        patches: torch.Tensor = weights[:, :, 0, 1:]
        return patches.reshape(batch, attn.num_heads, *self._grid(images))

    def _before_projection(self, images: torch.Tensor) -> torch.Tensor:
        visual = self.module.visual
        tokens = visual.transformer(self._embed(images))
        cls: torch.Tensor = visual.ln_post(tokens[:, 0])
        return cls

    def _project(self, vectors: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = vectors @ self.module.visual.proj
        return projected

    def _embed(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, 1 + h x w, D): input of the first block."""
        visual, grid = self.module.visual, self._grid(images)
        if 0 in grid:
            size = tuple(images.shape[-2:])
            raise SettingsError(f"Model {self.name}: an image of {size} pixels holds no patch of {visual.patch_size}.")
        positions = visual.positional_embedding
        square = images.shape[-2] == images.shape[-1]
        table = interpolate(positions[None, 1:], visual.grid_size, grid, "antialias", square)
        patches = visual.conv1(images).flatten(2).transpose(1, 2) + table
        cls = (visual.class_embedding + positions[0]).expand(len(images), 1, -1)
        embedded: torch.Tensor = visual.ln_pre(torch.cat([cls, patches], dim=1))
        return embedded

    def _grid(self, images: torch.Tensor) -> tuple[int, int]:
        height, width = self.module.visual.patch_size
        return images.shape[-2] // height, images.shape[-1] // width

    def _layer(self, tokens: torch.Tensor, images: torch.Tensor) -> Layer:
        maps = tokens[:, 1:].transpose(1, 2).reshape(len(tokens), -1, *self._grid(images))
        return Layer(tokens[:, 0], maps)


class ClipResNetBackbone(StagedBackbone, ClipBackbone):
    """Its attention pool has positions for one resolution; other images have ``layers`` and ``pyramid``, but no vector."""

    def __init__(self, module: Any, embedding: str, preprocess: Preprocess, name: str) -> None:
        super().__init__(module, embedding, preprocess, name, module.visual.attnpool.c_proj.in_features)

    def _stages(self, images: torch.Tensor) -> list[torch.Tensor]:
        visual, stages = self.module.visual, []
        x = visual.stem(images)
        for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            x = stage(x)
            stages.append(x)
        return stages

    def _before_projection(self, images: torch.Tensor) -> torch.Tensor:
        """Attention of the mean of all pixels of the last stage to that mean and the pixels, heads joined."""
        pool = self.module.visual.attnpool
        pixels = self._stages(images)[-1].flatten(2).transpose(1, 2)
        tokens = torch.cat([pixels.mean(dim=1, keepdim=True), pixels], dim=1)
        if tokens.shape[1] != len(pool.positional_embedding):
            size = self.module.visual.image_size
            raise SettingsError(
                f"Model {self.name}: its attention pool takes images of {size} x {size} pixels, not {tuple(images.shape[-2:])}.",
                "Leave the card's preprocessing as it is.",
            )
        tokens = tokens + pool.positional_embedding
        query, key, value = (
            project(x).unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
            for project, x in ((pool.q_proj, tokens[:, :1]), (pool.k_proj, tokens), (pool.v_proj, tokens))
        )
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(1)

    def _project(self, vectors: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = self.module.visual.attnpool.c_proj(vectors)
        return projected
