"""OBoW's three forms of file, as they are and in the archives that its authors published (negative_free.md)."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from proofs.instdisc import resnet18
from proofs.negative_free import resnet
from proofs.proof import Proof, Tensors, prefixed, torch_save, under


def zipped(content: Any, folder: Path) -> Path:
    path = folder / "official.zip"
    inner = torch_save(content, folder)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inner, "ImageNetFull_ResNet50_OBoW_full/tochvision_resnet50_student_K8192_epoch200.pth.tar")
    inner.unlink()
    return path


def student(backbone: Tensors) -> dict[str, Any]:
    """torchvision's names; the classes of ``fc`` are visual words."""
    return {"network": {**backbone, "fc.weight": torch.ones(8192, 4), "fc.bias": torch.zeros(8192)}}


def blocks(tensors: Tensors, stem: tuple[str, str] = ("Conv", "bn")) -> Tensors:
    """Stem and stages, numbered."""
    renamed = {}
    for name, tensor in tensors.items():
        top, _, rest = name.partition(".")
        number = f"0.{stem[0]}" if top == "conv1" else f"0.{stem[1]}" if top == "bn1" else top.removeprefix("layer")
        renamed[f"_feature_blocks.{number}.{rest}"] = tensor
    return renamed


def run(wrapped: str, stem: tuple[str, str] = ("Conv", "bn")) -> Any:
    """The whole model; the teacher has other values."""

    def file(backbone: Tensors) -> dict[str, Any]:
        rest = under(
            "",
            *("bow_extractor.bow_extractor.0._embedding", "bow_extractor.bow_extractor.1._min_distance_mean"),
            *("bow_predictor.layers_w.0.1.running_mean", "bow_predictor.scale", "_alpha", "_iteration"),
            "linear_classifier.layers.prediction_layer.weight",
        )
        network = {
            **prefixed("feature_extractor.", blocks(backbone, stem)),
            **prefixed("feature_extractor_teacher.", blocks({n: t + 1 for n, t in backbone.items()}, stem)),
            **rest,
        }
        return {"epoch": 200, "network": prefixed(wrapped, network), "meters": None}

    return file


def alone(backbone: Tensors) -> dict[str, Any]:
    return {"epoch": 200, "network": blocks(backbone), "meters": None}


def _r50(form: str, file: Any, write: Any = torch_save) -> Proof:
    proof = resnet("obow_resnet50", file, form)
    return Proof(**{**vars(proof), "write": write})


PROOFS = [
    _r50("student", student, zipped),
    _r50("run", run("module."), zipped),
    _r50("run on one GPU", run("")),
    _r50("numbered stem", run("", ("0", "1"))),
    _r50("extractor", alone),
    _r50("wrapped extractor", lambda t: {"network": prefixed("module.", blocks(t))}),
    resnet18("obow_resnet18_20pct", run(""), write=zipped),
    resnet18("obow_resnet18_20pct_vanilla", run(""), write=zipped),
]
