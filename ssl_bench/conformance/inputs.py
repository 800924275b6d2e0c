"""Four different samples as a model takes them, from the procedural data sets."""

from __future__ import annotations

from typing import cast

import torch
from PIL import Image

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.blank import SIDE, input_shape
from ssl_bench.compute import Compute
from ssl_bench.conformance.attempt import Size
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.recordings import AudioSplit
from ssl_bench.data.videos import videos
from ssl_bench.protocols.audio.front_end import FrontEnd, spectrogram_of
from ssl_bench.protocols.video.views import ClipNumbers, views_of

COUNT = 4
STEP = 32
"""By how many pixels the other sizes are longer: strides and patches divide it, mostly."""


def samples(backbone: Backbone, compute: Compute) -> torch.Tensor:
    """(4, 3, H, W) images, (4, 3, T, H, W) clips or (4, 1, T, F) spectrograms."""
    make = {"image": _images, "video": _clips, "audio": _spectrograms}[backbone.modality]
    return make(backbone, compute).to(compute.device)


def sizes_of(images: torch.Tensor) -> tuple[Size, list[Size]]:
    """The size of the images, and the others to try: not square, and larger."""
    height, width = (int(length) for length in images.shape[-2:])
    return Size(height, width), [Size(height, width + STEP), Size(height + 2 * STEP, width + STEP)]


def _images(backbone: Backbone, compute: Compute) -> torch.Tensor:
    split = load_dataset("shapes", compute.data_root).test
    side = backbone.preprocess.card.crop or SIDE
    pictures = [split.image(i).resize((side, side), Image.Resampling.BICUBIC) for i in range(COUNT)]
    return torch.stack([backbone.preprocess(picture) for picture in pictures])


def clip_numbers(backbone: Backbone) -> ClipNumbers:
    """How the procedural videos of 16 frames are cut for a network of clips."""
    _, frames, side, _ = input_shape(backbone, "video", backbone.preprocess.card.crop)
    return ClipNumbers(frames=frames, stride=max(1, 16 // frames), crop=side, clips=1, crops=1)


def _clips(backbone: Backbone, compute: Compute) -> torch.Tensor:
    split, numbers = videos(load_dataset("shapes_video", compute.data_root))["test"], clip_numbers(backbone)
    views = [views_of(split, i, numbers)[0] for i in range(COUNT)]
    return backbone.preprocess.normalise(torch.stack(views)).transpose(1, 2)


def front_end(backbone: Backbone) -> FrontEnd:
    """One second of sound for a network of spectrograms: all its frequencies, and as many frames as it takes."""
    _, frames, bins = input_shape(backbone, "audio")
    return FrontEnd(frames=frames, bins=bins, mean=-2.2, std=4.17)


def _spectrograms(backbone: Backbone, compute: Compute) -> torch.Tensor:
    split = cast(AudioSplit, load_dataset("tones", compute.data_root).test)
    return torch.stack([spectrogram_of(split, i, front_end(backbone)) for i in range(COUNT)])
