"""A small VOCdevkit made from scenes of ``shapes``: same layout, same kinds of files."""

from __future__ import annotations

from pathlib import Path

from ssl_bench.data.shapes import ShapesSplit
from ssl_bench.data.voc import CLASSES

KINDS = ("bottle", "car", "cat", "dog", "person")


def write_voc(root: Path, year: str, sets: dict[str, int], start: int = 0, difficult: set[str] | None = None) -> Path:
    """``sets``: name -> images. Objects of the classes in ``difficult`` are marked so. Returns the year's folder."""
    folder = root / "VOCdevkit" / year
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name, count in sets.items():
        split = ShapesSplit("shapes", 5, start, count)
        names = [f"{start + i:06d}" for i in range(count)]
        for index, image in enumerate(names):
            split.image(index).save(folder / "JPEGImages" / f"{image}.jpg", quality=95)
            found = split.instances(index)
            objects = [
                (KINDS[label - 1], box) for label, box in zip(found.labels.tolist(), found.boxes.tolist(), strict=True)
            ]
            (folder / "Annotations" / f"{image}.xml").write_text(annotation(objects, difficult or set()))
        (folder / "ImageSets/Main" / f"{name}.txt").write_text("".join(f"{image}\n" for image in names))
        start += count
    return folder


def annotation(objects: list[tuple[str, list[float]]], difficult: set[str], side: int = 64) -> str:
    """``objects``: class and edges counted from 0; written as VOC does, first and last pixel counted from 1."""
    items = []
    for name, (x1, y1, x2, y2) in objects:
        corners = "".join(
            f"<{key}>{value:g}</{key}>"
            for key, value in zip(("xmin", "ymin", "xmax", "ymax"), (x1 + 1, y1 + 1, x2, y2), strict=True)
        )
        part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
        items.append(
            f"<object><name>{name}</name><difficult>{int(name in difficult)}</difficult>"
            f"<bndbox>{corners}</bndbox>{part}</object>"
        )
    size = f"<size><width>{side}</width><height>{side}</height><depth>3</depth></size>"
    assert all(name in CLASSES for name, _ in objects)
    return f"<annotation>{size}{''.join(items)}</annotation>"
