"""Zero-shot classification (CLIP, section 3.1): the class whose sentences are most similar to the image.

With unit vectors f(x) of an image and w_c of class c (``text_vectors``), and the model's own scale s (CLIP: 100)::

    logits_c = s f(x) . w_c        prediction = argmax_c

The scale changes no prediction, only the probability that is stored with it. No training image is looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from pydantic import field_validator

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.flip import FlipBackbone
from ssl_bench.backbones.texts import text_tower
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features, extract
from ssl_bench.data.scenes import SceneSplit, scenes
from ssl_bench.errors import SettingsError
from ssl_bench.protocols.logistic_probe import normalise
from ssl_bench.protocols.protocol import Outcome, Protocol, noting_skipped
from ssl_bench.protocols.transfer.several import Difficult, labelled
from ssl_bench.protocols.zero_shot.prompts import PLAIN, PromptFile, checked, find_prompts, sentences
from ssl_bench.protocols.zero_shot.scoring import ROWS, Metric, OneLabel, Ranks, several_labels
from ssl_bench.protocols.zero_shot.text_vectors import class_vectors
from ssl_bench.settings import Settings


class ZeroShotSettings(Settings):
    """``templates``: ``all`` of the data set's, a subset of them by its name (ImageNet: ``seven``; data sets without it
    take all), ``plain`` (the one "a photo of a {}."), or templates of your own. ``prompts``: another data set's file, or
    the path of one of your own. ``metric``, see ``scoring``. ``difficult``: of data sets with several labels, see
    ``transfer.several``. ``vocabulary``: the path of BERT's uncased ``vocab.txt``, for models that need it (FLIP)."""

    templates: str | tuple[str, ...] = "all"
    prompts: str | None = None
    metric: Metric = "auto"
    difficult: Difficult = "exclude"
    vocabulary: Path | None = None

    @field_validator("templates")
    @classmethod
    def _hold_a_place(cls, templates: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if templates == () or isinstance(templates, str):
            if "{}" in templates or not templates:
                raise ValueError('must be a name, or a list: templates=["a photo of a {}."]')
            return templates
        return checked(templates)


class ZeroShot(Protocol):
    """Metrics in percent: ``top1``, ``mean_per_class``, ``top5`` with more than five classes, and the data set's own
    ``top1_top5`` or ``roc_auc``; ``map`` alone where images have several labels."""

    name = "zero_shot"
    summary = "The class whose sentences are most similar to the image (CLIP); no training"
    settings = ZeroShotSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: ZeroShotSettings, compute: Compute) -> Outcome:
        tower = text_tower(backbone)
        if settings.vocabulary is not None and isinstance(backbone, FlipBackbone):
            backbone.read_vocabulary(settings.vocabulary)
        prompts = find_prompts(dataset.name, settings.prompts)
        templates = chosen_templates(settings.templates, prompts)
        texts = sentences(dataset.classes, dataset.name, prompts, templates)
        test = scenes(dataset, "present")["test"] if settings.metric == "map" else dataset.test
        vectors = class_vectors(backbone, texts, dataset.name, compute)
        if isinstance(test, SceneSplit) and settings.metric == "map":
            part = labelled(backbone, test, compute, tower.joint, settings.difficult)
            images = part.features
            outcome = several_labels(part.present, normalise(images.x, "l2") @ vectors.T, dataset.classes)
        else:
            images = extract(backbone, test, compute, tower.joint)
            metric = cast(OneLabel, dataset.metric if settings.metric == "auto" else settings.metric)
            outcome = ranked(images, vectors, tower.logit_scale).outcome(images.index, metric)
        outcome.details.update(
            prompts=prompts.source if prompts else "the data set's own class names",
            templates=len(templates),
            sentences=sum(map(len, texts)),
        )
        return noting_skipped(outcome, images)


def chosen_templates(asked: str | tuple[str, ...], prompts: PromptFile | None) -> tuple[str, ...]:
    """The templates that a setting means; one without prompts has the plain one."""
    if not isinstance(asked, str):
        return asked
    if asked == "plain" or prompts is None:
        return (PLAIN,)
    if asked not in {"all", "seven", *prompts.subsets}:
        raise SettingsError(
            f"templates = {asked!r}: there is no such subset.",
            f"There are: {', '.join(['all', 'plain', *prompts.subsets])}; or give a list of templates.",
        )
    return prompts.subsets.get(asked, prompts.templates)


def ranked(images: Features, vectors: np.ndarray, scale: float) -> Ranks:
    """Scores of all classes for (N, D) image vectors, some rows at a time. ``vectors``: (C, D), of length 1."""
    found = Ranks(images.y, len(vectors))
    for start in range(0, len(images), ROWS):
        rows = slice(start, min(start + ROWS, len(images)))
        found.take(rows, np.float32(scale) * (normalise(images.x[rows], "l2") @ vectors.T))
    return found
