"""CLIP's tensors as OpenAI and OpenCLIP name them, and its image towers as plain functions (multimodal.md 1 and 2)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from proofs.proof import Shapes, Tensors
from proofs.resnets import norm, norm_shapes
from proofs.vits import layer_norm, linear

VOCABULARY = 49408


def quick_gelu(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(1.702 * x)


def _linear(name: str, out: int, inner: int) -> Shapes:
    return {f"{name}.weight": (out, inner), f"{name}.bias": (out,)}


def _transformer(prefix: str, width: int, depth: int, mlp: int | None = None) -> Shapes:
    shapes: Shapes = {}
    for i in range(depth):
        at = f"{prefix}transformer.resblocks.{i}"
        shapes |= {f"{at}.ln_1.weight": (width,), f"{at}.ln_1.bias": (width,)}
        shapes |= {f"{at}.attn.in_proj_weight": (3 * width, width), f"{at}.attn.in_proj_bias": (3 * width,)}
        shapes |= _linear(f"{at}.attn.out_proj", width, width)
        shapes |= {f"{at}.ln_2.weight": (width,), f"{at}.ln_2.bias": (width,)}
        hidden = mlp or 4 * width
        shapes |= _linear(f"{at}.mlp.c_fc", hidden, width) | _linear(f"{at}.mlp.c_proj", width, hidden)
    return shapes


def text_shapes(width: int, depth: int, joint: int, vocabulary: int = VOCABULARY) -> Shapes:
    """The text tower lies at the top level, without a prefix."""
    return {
        "positional_embedding": (77, width),
        "text_projection": (width, joint),
        "logit_scale": (),
        **_transformer("", width, depth),
        "token_embedding.weight": (vocabulary, width),
        "ln_final.weight": (width,),
        "ln_final.bias": (width,),
    }


def vit_shapes(width: int, depth: int, patch: int, size: int, joint: int, mlp: int | None = None) -> Shapes:
    return {
        "visual.class_embedding": (width,),
        "visual.positional_embedding": (1 + (size // patch) ** 2, width),
        "visual.proj": (width, joint),
        "visual.conv1.weight": (width, 3, patch, patch),
        "visual.ln_pre.weight": (width,),
        "visual.ln_pre.bias": (width,),
        **_transformer("visual.", width, depth, mlp),
        "visual.ln_post.weight": (width,),
        "visual.ln_post.bias": (width,),
    }


def resnet_shapes(blocks: Sequence[int], width: int, size: int, joint: int) -> Shapes:
    """Three convolutions in the stem; every first block of a stage has a projection shortcut; attention pool."""
    shapes: Shapes = {}
    for i, (out, inner) in enumerate(((width // 2, 3), (width // 2, width // 2), (width, width // 2)), start=1):
        shapes |= {f"visual.conv{i}.weight": (out, inner, 3, 3), **norm_shapes(f"visual.bn{i}", out)}
    channels = width
    for stage, count in enumerate(blocks, start=1):
        inner = width * 2 ** (stage - 1)
        for block in range(count):
            at = f"visual.layer{stage}.{block}"
            shapes |= {f"{at}.conv1.weight": (inner, channels, 1, 1), **norm_shapes(f"{at}.bn1", inner)}
            shapes |= {f"{at}.conv2.weight": (inner, inner, 3, 3), **norm_shapes(f"{at}.bn2", inner)}
            shapes |= {f"{at}.conv3.weight": (4 * inner, inner, 1, 1), **norm_shapes(f"{at}.bn3", 4 * inner)}
            if block == 0:
                shapes |= {f"{at}.downsample.0.weight": (4 * inner, channels, 1, 1)}
                shapes |= norm_shapes(f"{at}.downsample.1", 4 * inner)
            channels = 4 * inner
    shapes |= {"visual.attnpool.positional_embedding": ((size // 32) ** 2 + 1, channels)}
    for part, out in (("k_proj", channels), ("q_proj", channels), ("v_proj", channels), ("c_proj", joint)):
        shapes |= _linear(f"visual.attnpool.{part}", out, channels)
    return shapes


def _heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    batch, count, width = x.shape
    return x.reshape(batch, count, heads, width // heads).transpose(1, 2)


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
    q, k, v = _heads(q, heads), _heads(k, heads), _heads(v, heads)
    mixed = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1) @ v
    return mixed.transpose(1, 2).flatten(2)


def vit_forward(
    heads: int, act: Callable[[torch.Tensor], torch.Tensor], project: bool = True
) -> Callable[[Tensors, torch.Tensor], torch.Tensor]:
    """Class token of the last block, normalised, then projected; all norms with eps 1e-5."""

    def forward(t: Tensors, images: torch.Tensor) -> torch.Tensor:
        patches = F.conv2d(images, t["visual.conv1.weight"], stride=t["visual.conv1.weight"].shape[-1])
        x = patches.flatten(2).transpose(1, 2)
        x = torch.cat([t["visual.class_embedding"].expand(len(x), 1, -1), x], dim=1) + t["visual.positional_embedding"]
        x, i = layer_norm(t, "visual.ln_pre", x, 1e-5), 0
        while (at := f"visual.transformer.resblocks.{i}") + ".ln_1.weight" in t:
            y = layer_norm(t, f"{at}.ln_1", x, 1e-5)
            q, k, v = F.linear(y, t[f"{at}.attn.in_proj_weight"], t[f"{at}.attn.in_proj_bias"]).chunk(3, dim=-1)
            x = x + linear(t, f"{at}.attn.out_proj", _attend(q, k, v, heads))
            y = act(linear(t, f"{at}.mlp.c_fc", layer_norm(t, f"{at}.ln_2", x, 1e-5)))
            x, i = x + linear(t, f"{at}.mlp.c_proj", y), i + 1
        cls = layer_norm(t, "visual.ln_post", x[:, 0], 1e-5)
        return cls @ t["visual.proj"] if project else cls

    return forward


def resnet_forward(t: Tensors, images: torch.Tensor, project: bool = True) -> torch.Tensor:
    """Strides are average pools before the last convolution and in the shortcut; attention of the mean to all pixels."""
    x = images
    for i in (1, 2, 3):
        x = F.relu(
            norm(t, f"visual.bn{i}", F.conv2d(x, t[f"visual.conv{i}.weight"], stride=2 if i == 1 else 1, padding=1))
        )
    x = F.avg_pool2d(x, 2)
    for stage in (1, 2, 3, 4):
        block = 0
        while (at := f"visual.layer{stage}.{block}") + ".conv1.weight" in t:
            stride = 2 if stage > 1 and block == 0 else 1
            y = F.relu(norm(t, f"{at}.bn1", F.conv2d(x, t[f"{at}.conv1.weight"])))
            y = F.relu(norm(t, f"{at}.bn2", F.conv2d(y, t[f"{at}.conv2.weight"], padding=1)))
            y = norm(t, f"{at}.bn3", F.conv2d(F.avg_pool2d(y, stride), t[f"{at}.conv3.weight"]))
            if f"{at}.downsample.0.weight" in t:
                x = F.conv2d(F.avg_pool2d(x, stride), t[f"{at}.downsample.0.weight"])
                x = norm(t, f"{at}.downsample.1", x)
            x, block = F.relu(x + y), block + 1
    pixels, pool = x.flatten(2).transpose(1, 2), "visual.attnpool"
    tokens = torch.cat([pixels.mean(dim=1, keepdim=True), pixels], dim=1) + t[f"{pool}.positional_embedding"]
    q, k, v = (linear(t, f"{pool}.{part}", tokens) for part in ("q_proj", "k_proj", "v_proj"))
    mean = _attend(q, k, v, tokens.shape[-1] // 64)[:, 0]
    return linear(t, f"{pool}.c_proj", mean) if project else mean


def as_openai_stores(t: Tensors) -> Tensors:
    """Convolutions, linear layers, attention and projections are in half precision; norms and embeddings are not."""
    return {
        name: v if any(part in name for part in ("ln_", "bn", "downsample.1", "embedding", "logit_scale")) else v.half()
        for name, v in t.items()
    }


def torchscript_save(content: Tensors, folder: Path) -> Path:
    """A TorchScript archive of a module that holds these tensors under these names: floats as parameters, integers as
    buffers."""
    top = _Part()
    for name, tensor in content.items():
        *path, last = name.split(".")
        part = top
        for step in path:
            if step not in dict(part.named_children()):
                part.add_module(step, _Part())
            part = getattr(part, step)
        if tensor.is_floating_point():
            part.register_parameter(last, nn.Parameter(tensor.clone(), requires_grad=False))
        else:
            part.register_buffer(last, tensor.clone())
    return script(top, folder / "ViT.pt")


class _Part(nn.Module):
    pass


def script(module: nn.Module, path: Path, example: Any = None) -> Path:
    """Traced with ``example``, else scripted. torch calls both deprecated, and warns of
    what a trace leaves out; the files in question were made so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.script(module) if example is None else torch.jit.trace(module, example)
        torch.jit.save(made, str(path))
    return path
