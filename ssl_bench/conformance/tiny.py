"""A tiny version of every protocol, offline on procedural data: does it run to its end with a model? Scores mean nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.blank import SIDE
from ssl_bench.backbones.convnet import ConvNetBackbone
from ssl_bench.backbones.preflight import Finding
from ssl_bench.cards import Modality
from ssl_bench.compute import Compute
from ssl_bench.conformance.inputs import clip_numbers, front_end
from ssl_bench.data.builders import load_dataset
from ssl_bench.errors import SettingsError
from ssl_bench.registry import registry
from ssl_bench.results.store import Store
from ssl_bench.runner import Cell, Job
from ssl_bench.settings import resolve

IMAGES_PER_CLASS = 2
VECTOR, LAYERS, PYRAMID, ATTENTION, TEXTS = "vectors", "layers", "a pyramid", "attention", "a text tower"
"""What a model may offer. Each of the first four also for images of another size than its card's."""


def resized(offer: str) -> str:
    """The same for images of another size."""
    return f"{offer} of other sizes"


@dataclass(frozen=True)
class Tiny:
    """A task with settings that make it quick. ``needs``: what the model must offer."""

    task: str
    settings: Mapping[str, Any]
    needs: tuple[str, ...]


def _tiny(task: str, *needs: str, **settings: Any) -> Tiny:
    return Tiny(task, settings, needs)


_TRAIN = {"steps": 1, "batch_size": 2}
IMAGES = (
    _tiny("knn_shapes"),
    _tiny("linear_frozen_shapes", epochs=1),
    _tiny("low_shot_1_shapes"),
    _tiny("semi_frozen_10pct_shapes"),
    _tiny("linear_clip_shapes", strengths=[1.0], search="all"),
    _tiny("transfer_shapes", strengths=[1.0]),
    _tiny("multilabel_shapes", strengths=[1.0]),
    _tiny("svm_shapes", costs=[0.1], folds=2, max_iterations=100),
    _tiny("label_free_shapes", lidar_views=2),
    _tiny("throughput_shapes", batch_size=2, warmup=1, repeats=2, seconds=1.0),
    _tiny("zero_shot_shapes", TEXTS),
    _tiny("video_linear_shapes_frames", epochs=1, frames=2, stride=8),
    _tiny("attention_shapes", ATTENTION, resized(ATTENTION)),
    _tiny("retrieve_shapes", resized(VECTOR)),
    _tiny("copydays_shapes_copies", LAYERS, resized(LAYERS)),
    _tiny("davis_moving_shapes", LAYERS, resized(LAYERS), frames=3),
    _tiny("segment_linear_shapes", LAYERS, resized(LAYERS), **_TRAIN),
    _tiny("depth_shapes", LAYERS, resized(LAYERS), **_TRAIN),
    _tiny("segment_shapes", LAYERS, resized(LAYERS), **_TRAIN),
    _tiny("linear_shapes", epochs=1, batch_size=4),
    _tiny("semi_10pct_shapes", epochs=1, batch_size=4),
    _tiny("finetune_shapes", steps=1, batch_size=4, warmup_epochs=0.0),
    _tiny("detect_shapes", PYRAMID, resized(PYRAMID), **_TRAIN, milestones=[1], warmup=0, rois=8, width=16),
)
"""Cheap ones first."""
VIDEOS = (_tiny("video_knn_shapes_video", k=1), _tiny("video_shapes_video", epochs=1, batch_size=4, warmup_epochs=0.0))
SOUNDS = (_tiny("audio_knn_tones", k=1), _tiny("audio_tones", epochs=1, batch_size=4, warmup_epochs=0.0))
TASKS: dict[Modality, tuple[Tiny, ...]] = {"image": IMAGES, "video": VIDEOS, "audio": SOUNDS}


def run_tiny(name: str, backbone: Backbone, tiny: Tiny, compute: Compute, store: Store) -> Finding:
    """One tiny task. A :class:`SettingsError` is how a protocol says that this kind of network does not suit it."""
    what, began = f"runs {tiny.task}", time.perf_counter()
    try:
        Cell(name, backbone, _job(backbone, tiny, compute), compute).run(store, ())
    except SettingsError as error:
        return Finding(what, None, error.message, offered=False, seconds=_since(began))
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises is the finding
        return Finding(what, f"{type(error).__name__}: {error}", seconds=_since(began))
    return Finding(what, None, seconds=_since(began))


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 2)


def _job(backbone: Backbone, tiny: Tiny, compute: Compute) -> Job:
    card = registry().task(tiny.task)
    kind = registry().protocols.get(card.protocol)
    given = {**card.settings, **_cut(backbone, card.protocol), **tiny.settings}
    dataset = load_dataset(card.dataset, compute.data_root, limit=compute.limit) if kind.needs_data else None
    return Job(card, kind(), resolve(kind.settings, given, tiny.task), dataset)


def _cut(backbone: Backbone, protocol: str) -> dict[str, Any]:
    """Clips, their frames and spectrograms of the size that the network takes. A ResNet's pyramid is tried, not its last
    stage on each of hundreds of boxes, which takes half a minute."""
    if protocol == "detect" and isinstance(backbone, ConvNetBackbone):
        return {"detector": "fpn"}
    if backbone.modality == "audio":
        sound = front_end(backbone)
        return {"frames": sound.frames, "bins": sound.bins}
    if protocol not in {"video", "video_frozen"}:
        return {}
    if backbone.modality == "image":
        return {"crop": backbone.preprocess.card.crop or SIDE}
    numbers = clip_numbers(backbone)
    return {"frames": numbers.frames, "stride": numbers.stride, "crop": numbers.crop, "clips": 1}
