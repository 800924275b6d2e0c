"""Procedural videos: the objects of ``shapes`` move over the room with constant velocity, each frame with exact masks.

The class of a video is the direction in which its first object moves. The frame in its middle does not tell it: form,
colour, place there and speed are drawn independently. Everything follows from the seed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.sequences import SequenceSplit
from ssl_bench.data.shapes import COLOURS, KINDS, SIDE, outline, room

FRAMES = 16
DIRECTIONS = {"right": (1, 0), "down": (0, 1), "left": (-1, 0), "up": (0, -1)}
SLOW, FAST = 0.8, 1.8
"""Pixels a frame."""
SMALL, LARGE = 7.0, 11.0
"""Radius in pixels."""
APART = 24.0
"""Pixels between the centres of two objects in the first frame, so that each is seen there."""


@dataclass(frozen=True)
class Mover:
    """One object: its centre in the first frame in pixels, its velocity in pixels a frame, and how it looks."""

    kind: int
    colour: str
    direction: int
    start: tuple[float, float]
    speed: float
    radius: float
    brightness: float
    stripes: tuple[float, float]

    def centre(self, time: float) -> tuple[float, float]:
        dx, dy = tuple(DIRECTIONS.values())[self.direction]
        return self.start[0] + dx * self.speed * time, self.start[1] + dy * self.speed * time


@dataclass(frozen=True)
class Clip:
    """``pixels``: (T, H, W, 3) uint8; ``masks``: (T, H, W) uint8, 0 the room, 1 ... the objects, later ones in front."""

    pixels: np.ndarray
    masks: np.ndarray
    movers: tuple[Mover, ...]


class MovingShapesSplit(SequenceSplit):
    """Videos ``start`` to ``start + count - 1`` of a seed, with ``objects`` objects each."""

    classes = tuple(DIRECTIONS)

    def __init__(self, name: str, seed: int, start: int, count: int, objects: int = 1) -> None:
        self.name, self.objects = name, objects
        self.keys = [(seed, index) for index in range(start, start + count)]
        self.lengths = np.full(count, FRAMES)
        self.labels = np.array([movers(*key, objects)[0].direction for key in self.keys], dtype=np.int64)

    def frame(self, index: int, time: int) -> Image.Image:
        return Image.fromarray(self.clip(index)[time])

    def mask(self, index: int, time: int) -> np.ndarray:
        mask: np.ndarray = draw_clip(*self.keys[index], self.objects).masks[time]
        return mask

    def clip(self, index: int) -> np.ndarray:
        return draw_clip(*self.keys[index], self.objects).pixels

    def identity(self, index: int) -> str:
        clip = draw_clip(*self.keys[index], self.objects)
        return hashlib.sha256(clip.pixels.tobytes() + clip.masks.tobytes()).hexdigest()


def moving_shapes(root: Path, card: DatasetCard) -> Dataset:
    """``options``: ``seed``, how many videos ``train`` and ``test`` have, and ``objects`` in each (default 1)."""
    seed, train, test = (int(card.options[key]) for key in ("seed", "train", "test"))
    objects = int(card.options.get("objects", 1))
    return Dataset(
        card.name,
        MovingShapesSplit(f"{card.name}/train", seed, 0, train, objects),
        MovingShapesSplit(f"{card.name}/test", seed, train, test, objects),
        metric=card.metric,
    )


def movers(seed: int, index: int, objects: int) -> tuple[Mover, ...]:
    """The objects of one video: their whole way lies in the picture, and they begin ``APART`` from each other."""
    random = np.random.RandomState([seed, index, 1])
    found: list[Mover] = []
    while len(found) < objects:
        new = _mover(random)
        if all(np.hypot(*np.subtract(new.start, other.start)) >= APART for other in found):
            found.append(new)
    return tuple(found)


@lru_cache(maxsize=512)
def draw_clip(seed: int, index: int, objects: int = 1) -> Clip:
    """The video with this number: the same on every machine."""
    random = np.random.RandomState([seed, index, 2])
    background, _ = room(random)
    things = movers(seed, index, objects)
    frames = np.repeat(background[None], FRAMES, axis=0)
    masks = np.zeros((FRAMES, SIDE, SIDE), dtype=np.uint8)
    for time in range(FRAMES):
        for number, thing in enumerate(things, start=1):
            inside = outline(thing.kind, *thing.centre(time), thing.radius)
            masks[time][inside] = number
            frames[time][inside] = _surface(thing, time)[inside]
    noise = random.normal(0, 4, frames.shape)
    return Clip(np.clip(frames + noise, 0, 255).astype(np.uint8), masks, things)


def _mover(random: np.random.RandomState) -> Mover:
    direction = random.randint(len(DIRECTIONS))
    speed, radius = random.uniform(SLOW, FAST), random.uniform(SMALL, LARGE)
    half = np.multiply(tuple(DIRECTIONS.values())[direction], speed * (FRAMES - 1) / 2)
    room_left = SIDE / 2 - radius - speed * (FRAMES - 1) / 2
    middle = SIDE / 2 + random.uniform(-room_left, room_left, size=2)
    colour = sorted(COLOURS)[random.randint(len(COLOURS))]
    look = random.uniform(0.7, 1.1), (random.uniform(0, np.pi), random.uniform(3, 8))
    start = middle - half
    return Mover(
        random.randint(len(KINDS)), colour, direction, (float(start[0]), float(start[1])), speed, radius, *look
    )


def _surface(thing: Mover, time: int) -> np.ndarray:
    """(H, W, 3): colour with stripes (angle, width) that move with the object."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    (x, y), (angle, width) = thing.centre(time), thing.stripes
    stripes = 1 + 0.15 * np.sin(2 * np.pi * ((rows - y) * np.sin(angle) + (columns - x) * np.cos(angle)) / width)
    surface: np.ndarray = np.array(COLOURS[thing.colour]) * thing.brightness * stripes[..., None]
    return surface
