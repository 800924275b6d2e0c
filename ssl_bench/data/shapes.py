"""``shapes``: procedural scenes with every kind of target, so that each protocol runs offline on any machine.

A room of 64 x 64 pixels: a wall and a floor that comes nearer towards the lower edge, and one to three flat objects in it.
Nearer objects are larger, stand lower and hide those behind. Everything about a scene follows from its seed, so targets are
exact: label map (0 the room, then the kinds), visible masks and boxes, depth in metres, which kinds are present, a caption.
Colours, textures and brightness are drawn independently of the kind: only form tells it.
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
from ssl_bench.data.scenes import Instances, SceneSplit

SIDE = 64
KINDS = ("disc", "square", "triangle", "ring", "cross")
CLASSES = ("room", *KINDS)
COLOURS = {
    "red": (200, 40, 40),
    "green": (40, 160, 60),
    "blue": (50, 80, 210),
    "yellow": (220, 200, 50),
    "white": (230, 230, 230),
}
NEAR, FAR, WALL = 1.5, 5.0, 8.0
"""Metres: objects stand between ``NEAR`` and ``FAR``; the wall is at ``WALL``."""
VISIBLE = 24
"""An object with fewer visible pixels is no object: it is drawn, but belongs to the room's clutter (255 in the label map)."""


@dataclass(frozen=True)
class Thing:
    """One flat object: where its centre is in pixels, its radius in pixels, how far it is in metres."""

    kind: int
    colour: str
    x: float
    y: float
    radius: float
    distance: float


@dataclass(frozen=True)
class Scene:
    """One drawn scene. ``owner``: (H, W) position in ``things`` of what is seen there, -1 the room."""

    pixels: np.ndarray
    owner: np.ndarray
    depth: np.ndarray
    things: tuple[Thing, ...]


class ShapesSplit(SceneSplit):
    """Scenes ``start`` to ``start + count - 1`` of a seed. The one label of an image is the kind of its largest object."""

    targets = frozenset({"label_map", "instances", "depth", "present", "captions"})

    def __init__(self, name: str, seed: int, start: int, count: int) -> None:
        self.name, self.classes = name, CLASSES
        self.keys = [(seed, index) for index in range(start, start + count)]
        self.labels = np.array([_largest(draw(*key)) for key in self.keys], dtype=np.int64)

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(draw(*self.keys[index]).pixels)

    def identity(self, index: int) -> str:
        scene = draw(*self.keys[index])
        return hashlib.sha256(scene.pixels.tobytes() + scene.owner.tobytes() + scene.depth.tobytes()).hexdigest()

    def array(self) -> np.ndarray | None:
        return np.stack([draw(*key).pixels for key in self.keys])

    def label_map(self, index: int) -> np.ndarray:
        scene = draw(*self.keys[index])
        kinds = np.array([0, *(thing.kind + 1 for thing in scene.things)], dtype=np.uint8)
        seen = np.bincount(scene.owner.ravel() + 1, minlength=len(kinds)) >= VISIBLE
        seen[0] = True
        label_map: np.ndarray = np.where(seen, kinds, 255).astype(np.uint8)[scene.owner + 1]
        return label_map

    def instances(self, index: int, masks: bool = True) -> Instances:
        scene = draw(*self.keys[index])
        seen = np.stack([scene.owner == i for i in range(len(scene.things))])
        kept = seen.sum(axis=(1, 2)) >= VISIBLE
        labels = np.array([thing.kind + 1 for thing in scene.things], dtype=np.int64)
        return Instances(np.stack([_box(mask) for mask in seen[kept]]), labels[kept], seen[kept])

    def depth(self, index: int) -> np.ndarray:
        return draw(*self.keys[index]).depth

    def present(self) -> np.ndarray:
        found = np.zeros((len(self.keys), len(CLASSES)), dtype=np.int8)
        for index in range(len(self.keys)):
            found[index, self.instances(index).labels] = 1
        found[:, 0] = 1
        return found

    def captions(self, index: int) -> tuple[str, ...]:
        scene = draw(*self.keys[index])
        return (" and ".join(f"a {thing.colour} {KINDS[thing.kind]}" for thing in scene.things),)


def shapes(root: Path, card: DatasetCard) -> Dataset:
    """``options``: ``seed``, and how many scenes ``train`` and ``test`` have."""
    seed, train, test = (int(card.options[key]) for key in ("seed", "train", "test"))
    return Dataset(
        card.name,
        ShapesSplit(f"{card.name}/train", seed, 0, train),
        ShapesSplit(f"{card.name}/test", seed, train, test),
        metric=card.metric,
    )


@lru_cache(maxsize=4096)
def draw(seed: int, index: int) -> Scene:
    """The scene with this number: the same on every machine (RandomState's stream is frozen for all versions of NumPy)."""
    random = np.random.RandomState([seed, index])
    count = random.randint(1, 4)
    things = sorted((_thing(random) for _ in range(count)), key=lambda thing: -thing.distance)
    pixels, depth = room(random)
    owner = np.full((SIDE, SIDE), -1, dtype=np.int64)
    for position, thing in enumerate(things):
        mask = outline(thing.kind, thing.x, thing.y, thing.radius)
        owner[mask], depth[mask] = position, thing.distance
        pixels[mask] = _texture(random, COLOURS[thing.colour])[mask]
    noise = random.normal(0, 4, pixels.shape)
    return Scene(np.clip(pixels + noise, 0, 255).astype(np.uint8), owner, depth.astype(np.float32), tuple(things))


def outline(kind: int, x: float, y: float, radius: float) -> np.ndarray:
    """(H, W) bool: the pixels of an object of this kind around (x, y)."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    u, v = (columns - x) / radius, (rows - y) / radius
    inside: np.ndarray = {
        "disc": u**2 + v**2 <= 1,
        "square": np.maximum(abs(u), abs(v)) <= 0.85,
        "triangle": (v <= 0.8) & (v >= 1.7 * abs(u) * 1.1 - 0.9),
        "ring": (u**2 + v**2 <= 1) & (u**2 + v**2 >= 0.3),
        "cross": (np.minimum(abs(u), abs(v)) <= 0.33) & (np.maximum(abs(u), abs(v)) <= 1),
    }[KINDS[kind]]
    return inside


def _thing(random: np.random.RandomState) -> Thing:
    """Size and height in the picture follow from the distance, as in a room: radius = 26 m px / distance."""
    distance = random.uniform(NEAR, FAR)
    radius = 26 / distance
    y = SIDE * (0.45 + 0.35 * (FAR - distance) / (FAR - NEAR)) + random.uniform(-3, 3) - radius / 3
    colour = sorted(COLOURS)[random.randint(len(COLOURS))]
    return Thing(random.randint(len(KINDS)), colour, random.uniform(8, SIDE - 8), y, radius, distance)


def room(random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) float pixels and (H, W) metres: the wall above the horizon; below it the floor, at distance
    ``WALL`` x (horizon's share) as seen by a camera one metre above it."""
    horizon = SIDE // 3
    below = np.maximum(np.arange(SIDE) - horizon, 1)
    depth = np.where(np.arange(SIDE) < horizon, WALL, np.minimum(WALL, 1.0 + WALL * 4 / (below + 4)))
    grey = np.where(np.arange(SIDE) < horizon, random.uniform(90, 150), random.uniform(60, 120))
    tint = random.uniform(0.85, 1.15, size=3)
    pixels = grey[:, None, None] * tint * np.ones((SIDE, SIDE, 3))
    return pixels, np.repeat(depth[:, None], SIDE, axis=1)


def _texture(random: np.random.RandomState, colour: tuple[int, int, int]) -> np.ndarray:
    """(H, W, 3): the colour with stripes of a random direction and width."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    angle, width = random.uniform(0, np.pi), random.uniform(3, 8)
    stripes = 1 + 0.15 * np.sin(2 * np.pi * (rows * np.sin(angle) + columns * np.cos(angle)) / width)
    textured: np.ndarray = np.array(colour) * random.uniform(0.7, 1.1) * stripes[..., None]
    return textured


def _largest(scene: Scene) -> int:
    seen = [(scene.owner == i).sum() for i in range(len(scene.things))]
    return scene.things[int(np.argmax(seen))].kind + 1


def _box(mask: np.ndarray) -> np.ndarray:
    """(4,) float32: x1 y1 x2 y2 around the visible pixels, x2 and y2 just outside."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32)
