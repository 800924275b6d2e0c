"""Audio files, read with soundfile (the extra ``audio``): WAV, FLAC, Ogg, MP3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from ssl_bench.data.recordings import AudioSplit, Tags
from ssl_bench.data.splits import FileSplit
from ssl_bench.errors import ImageError, MissingExtraError


class AudioFiles(FileSplit, AudioSplit):
    """Audio files: ``paths`` are relative to ``root``. ``parts``: (N, 2) first second and number of seconds of the part that is
    meant, where a recording is a part of its file."""

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        labels: Sequence[int] | np.ndarray,
        classes: Sequence[str],
        *,
        tags: Tags | None = None,
        folds: np.ndarray | None = None,
        parts: np.ndarray | None = None,
    ) -> None:
        FileSplit.__init__(self, root, paths, labels, classes)
        self.tags, self.folds, self.parts = tags, folds, parts

    def waveform(self, index: int) -> tuple[np.ndarray, int]:
        part = None if self.parts is None else (float(self.parts[index, 0]), float(self.parts[index, 1]))
        return read(self.file(index), part)

    def identity(self, index: int) -> str:
        """Path and size, and what else is read of the list: the part, the fold, the labels."""
        more = [np.asarray(facts[index]).tolist() for facts in (self.parts, self.folds, self.tags) if facts is not None]
        return FileSplit.identity(self, index) + (f":{more}" if more else "")

    image = AudioSplit.image
    subset = AudioSplit.subset


def read(path: Path, part: tuple[float, float] | None = None) -> tuple[np.ndarray, int]:
    """(n,) float32 in [-1, 1], the mean of the channels, and the rate. ``part``: (first second, number of seconds)."""
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate, count = int(file.samplerate), -1
            if part is not None:
                file.seek(min(round(part[0] * rate), file.frames))
                count = round(part[1] * rate)
            samples = file.read(count, dtype="float32", always_2d=True)
        if not len(samples):
            raise ValueError("it has no samples")
        if not np.isfinite(samples).all():
            raise ValueError("its samples are not finite")
    except (OSError, ValueError, RuntimeError) as error:  # libsndfile's errors are RuntimeErrors
        reason = str(error).rsplit(": ", 1)[-1].rstrip(".") or type(error).__name__
        raise ImageError(
            f"{path}: cannot be read as a recording: {reason}.",
            "Put an intact copy there, or leave it out with --skip-broken.",
        ) from error
    mono: np.ndarray = samples.mean(axis=1)
    return mono, rate


def _soundfile() -> ModuleType:
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtraError("soundfile", "audio", "Reading audio files") from error
    module: ModuleType = soundfile
    return module
