"""FLIP (multimodal.md, 3.): T5X folders, and the archives in which they are published."""

from __future__ import annotations

import gzip
import json
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import torch
from torch.nn import functional as F

from proofs import vits
from proofs.proof import ONE, Proof, Shapes, Tensors


def flip_shapes(dim: int, depth: int, patch: int) -> Shapes:
    """The leaves of ``img_encoder``: kernels (in, out), the heads of queries, keys and values joined."""
    shapes: Shapes = {
        "cls": (1, 1, dim),
        "posembed_encoder/pos_embedding": (1, (224 // patch) ** 2 + 1, dim),
        "embedding/kernel": (patch, patch, 3, dim),
        "embedding/bias": (dim,),
        **_norm("Transformer/encoder_norm", dim),
    }
    for i in range(depth):
        at = f"Transformer/encoderblock_{i:02d}"
        shapes |= {**_norm(f"{at}/LayerNorm_0", dim), **_norm(f"{at}/LayerNorm_1", dim)}
        parts = {f"MultiHeadDotProductAttention_0/{part}": (dim, dim) for part in ("query", "key", "value", "out")}
        parts |= {"MlpBlock_0/Dense_0": (dim, 4 * dim), "MlpBlock_0/Dense_1": (4 * dim, dim)}
        for part, size in parts.items():
            shapes |= {f"{at}/{part}/kernel": size, f"{at}/{part}/bias": (size[1],)}
    return shapes


def _norm(name: str, dim: int) -> Shapes:
    return {f"{name}/scale": (dim,), f"{name}/bias": (dim,)}


def content(tensors: Tensors) -> dict[str, Any]:
    """What the package's reader makes of the folder: ``target`` as a tree."""
    text = {"token_embedding": {"embedding": ONE}, "posembed_encoder": {"pos_embedding": ONE}}
    rest = {"txt_encoder": text, "img_mlp1": {"kernel": ONE}, "txt_mlp1": {"kernel": ONE}, "logit_scale": ONE}
    return {"version": 3, "target": {"img_encoder": _tree(tensors), **rest}}


def _tree(tensors: Tensors) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, tensor in tensors.items():
        *folders, leaf = name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[leaf] = tensor
    return tree


def save_folder(content: dict[str, Any], folder: Path) -> Path:
    """As the checkpointer of T5X leaves it: one msgpack file, and a zarr folder for each parameter. The optimiser's state is
    only described: its folders are not there, since nobody may look for them."""
    at = folder / "checkpoint_1000000"
    at.mkdir()
    target = _stored(content["target"], "target", at)
    mu = {"driver": "zarr", "kvstore": {"driver": "gcs", "bucket": "t5x-dummy-bucket", "path": "state.mu.cls/"}}
    whole = {"version": content["version"], "optimizer": {"target": target, "state": {"step": 1000000, "mu": mu}}}
    (at / "checkpoint").write_bytes(msgpack.packb(whole))
    return at


def _stored(tree: Any, name: str, folder: Path) -> Any:
    """Descriptions in place of the tensors, which are written beside: in two chunks along the first side where it can
    be halved, the last one hanging over where it cannot."""
    if isinstance(tree, dict):
        return {key: _stored(value, f"{name}.{key}", folder) for key, value in tree.items()}
    array = tree.numpy()
    chunks = [-(-array.shape[0] // 2), *array.shape[1:]]
    meta = {"zarr_format": 2, "shape": list(array.shape), "chunks": chunks, "dtype": "<f4", "order": "C"}
    meta |= {"compressor": {"id": "gzip", "level": 0}, "filters": None, "fill_value": None, "dimension_separator": "."}
    (folder / name).mkdir()
    (folder / name / ".zarray").write_text(json.dumps(meta))
    for i, start in enumerate(range(0, array.shape[0], chunks[0])):
        part = torch.zeros(chunks)
        part[: len(tree[start : start + chunks[0]])] = tree[start : start + chunks[0]]
        index = ".".join(map(str, [i] + [0] * (array.ndim - 1)))
        (folder / name / index).write_bytes(gzip.compress(part.numpy().tobytes(), 0))
    store = {"driver": "gcs", "bucket": "t5x-dummy-bucket", "path": f"{name}/"}
    return {"driver": "zarr", "dtype": "float32", "kvstore": store, "metadata": {"shape": meta["shape"]}}


def save_zip(content: dict[str, Any], folder: Path) -> Path:
    inner, path = save_folder(content, folder), folder / "flip_large16_laion2b_v2.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(inner.rglob("*")):
            archive.write(file, Path("flip_large16_laion2b_v2") / file.relative_to(folder))
    return path


def flip_forward(heads: int, t: Tensors, images: torch.Tensor) -> torch.Tensor:
    """models_flip.py: positions are added to the patches only; LayerNorm of eps 1e-6, GELU by tanh; the mean of all
    tokens, the class token too, after the final norm."""
    kernel = t["embedding/kernel"]
    x = F.conv2d(images, kernel.permute(3, 2, 0, 1), t["embedding/bias"], stride=kernel.shape[0]).flatten(2).mT
    x = torch.cat([t["cls"].expand(len(x), -1, -1), x + t["posembed_encoder/pos_embedding"][:, 1:]], dim=1)
    return _normed(t, "Transformer/encoder_norm", _blocks(t, x, heads)).mean(dim=1)


def _blocks(t: Tensors, x: torch.Tensor, heads: int) -> torch.Tensor:
    block = 0
    while (at := f"Transformer/encoderblock_{block:02d}") + "/LayerNorm_0/scale" in t:
        x = x + _attention(t, f"{at}/MultiHeadDotProductAttention_0", _normed(t, f"{at}/LayerNorm_0", x), heads)
        y = _dense(t, f"{at}/MlpBlock_0/Dense_0", _normed(t, f"{at}/LayerNorm_1", x))
        x, block = x + _dense(t, f"{at}/MlpBlock_0/Dense_1", F.gelu(y, approximate="tanh")), block + 1
    return x


def _attention(t: Tensors, at: str, x: torch.Tensor, heads: int) -> torch.Tensor:
    q, k, v = (
        _dense(t, f"{at}/{part}", x).unflatten(2, (heads, -1)).transpose(1, 2) for part in ("query", "key", "value")
    )
    weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1)
    return _dense(t, f"{at}/out", (weights @ v).transpose(1, 2).flatten(2))


def _dense(t: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    return x @ t[f"{name}/kernel"] + t[f"{name}/bias"]


def _normed(t: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], t[f"{name}/scale"], t[f"{name}/bias"], 1e-6)


def _flip(model: str, size: tuple[int, int], patch: int, form: str) -> Proof:
    dim, depth = size
    return Proof(
        model=model,
        form=form,
        thin={"depth": 1},
        shapes=flip_shapes(dim, 1, patch),
        full=flip_shapes(dim, depth, patch),
        file=content,
        forward=partial(flip_forward, 16),
        write=save_zip if form == "zip" else save_folder,
        wrong_heads={"num_heads": 8},
    )


def both_shapes(size: tuple[int, int], text: tuple[int, int], patch: int, joint: int, words: int = 30523) -> Shapes:
    """All leaves of ``target``; ``size`` and ``text``: width and depth of the towers."""
    (dim, depth), (width, layers) = size, text
    shapes: Shapes = {f"img_encoder/{name}": shape for name, shape in flip_shapes(dim, depth, patch).items()}
    blocks = {n: s for n, s in flip_shapes(width, layers, patch).items() if n.startswith("Transformer/")}
    return {
        **shapes,
        **{f"txt_encoder/{name}": shape for name, shape in blocks.items()},
        "txt_encoder/token_embedding/embedding": (words, width),
        "txt_encoder/posembed_encoder/pos_embedding": (1, 32, width),
        "logit_scale": (1,),
        "img_mlp1/kernel": (dim, joint),
        "txt_mlp1/kernel": (width, joint),
    }


def everything(tensors: Tensors) -> dict[str, Any]:
    return {"version": 3, "target": _tree(tensors)}


def tower(t: Tensors, name: str) -> Tensors:
    return {leaf.removeprefix(f"{name}/"): tensor for leaf, tensor in t.items() if leaf.startswith(f"{name}/")}


def image_forward(heads: int, t: Tensors, images: torch.Tensor) -> torch.Tensor:
    return flip_forward(heads, tower(t, "img_encoder"), images)


def text_forward(heads: int, t: Tensors, tokens: torch.Tensor) -> torch.Tensor:
    """models_flip.py: no mask of any kind, not even of the padding; the first token after the final norm; no bias."""
    leaves = tower(t, "txt_encoder")
    x = leaves["token_embedding/embedding"][tokens] + leaves["posembed_encoder/pos_embedding"]
    x = _blocks(leaves, x, heads)
    return _normed(leaves, "Transformer/encoder_norm", x)[:, 0] @ t["txt_mlp1/kernel"]


def _with_text(model: str, size: tuple[int, int], text: tuple[int, int], patch: int, joint: int) -> Proof:
    return Proof(
        model=model,
        thin={"depth": 1, "text_cfg": {"width": text[0], "heads": text[0] // 64, "layers": 1, "words": 50}},
        shapes=both_shapes((size[0], 1), (text[0], 1), patch, joint, words=50),
        full=both_shapes(size, text, patch, joint),
        file=everything,
        forward=partial(image_forward, 16),
        write=save_folder,
        wrong_heads={"num_heads": 8},
    )


PROOFS = [
    _with_text("flip_vitl16_text", vits.L, (768, 12), 16, 768),
    _with_text("flip_vith14_text", vits.H, (1024, 24), 14, 1024),
    _flip("flip_vitl16", vits.L, 16, "folder"),
    _flip("flip_vitl16", vits.L, 16, "zip"),
    _flip("flip_vith14", vits.H, 14, "folder"),
]
