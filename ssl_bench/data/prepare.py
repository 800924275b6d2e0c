"""``data prepare imagenet``: sort the flat validation folder of the original archive into class folders."""

from __future__ import annotations

import shutil
from pathlib import Path

from ssl_bench.data.imagefolder import class_folders, image_files, required
from ssl_bench.data.imagenet import LAYOUT, find_devkit, ground_truth, wnid_of
from ssl_bench.errors import DataError, StoreError
from ssl_bench.progress import Progress, Silent


def prepare_imagenet(root: Path, progress: Progress | None = None) -> int:
    """Move each image of ``imagenet/val`` into the folder of its WordNet id; the number of moved images.

    Files are renamed one by one and never copied or removed, so that an interrupted run loses nothing and the next one
    goes on. Refused unless the images, sorted ones included, are exactly those of the ground truth.
    """
    val = required(root / "imagenet" / "val", root, LAYOUT)
    flat = image_files(val)
    if not flat:
        return 0
    truth = ground_truth(find_devkit(val.parent))
    moves = {file: val / wnid_of(val / file, truth) / file for file in flat}
    _refuse_disagreement(val, flat, len(truth))
    try:
        with (progress or Silent()).bar("sorting imagenet/val", len(moves)) as advance:
            for file, target in moves.items():
                target.parent.mkdir(exist_ok=True)
                (val / file).rename(target)
                advance()
    except OSError as error:
        raise StoreError(
            f"{val}: cannot be sorted: {error.strerror}.",
            f"Nothing is lost; run it again when the folder can be written ({shutil.disk_usage(val).free:,} bytes free).",
        ) from error
    return len(moves)


def _refuse_disagreement(val: Path, flat: list[str], expected: int) -> None:
    sorted_already = [file for name in class_folders(val) for file in image_files(val / name)]
    twice = set(flat) & set(sorted_already)
    if twice:
        raise DataError(f"{val}: {len(twice)} images lie there twice, such as {min(twice)}.", "Remove one of each.")
    found = len(flat) + len(sorted_already)
    if found != expected:
        raise DataError(
            f"{val}: there are {found:,} images, and the ground truth has {expected:,} lines.",
            "Unpack the archive ILSVRC2012_img_val.tar again; nothing was moved.",
        )
