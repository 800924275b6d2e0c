"""Features with several labels an image, as what protocols make of a split."""

import numpy as np

from ssl_bench.data.features import Features
from ssl_bench.protocols.transfer.several import Labelled

CLASSES = ("one", "two", "three")


def labelled(count, seed, difficult=0.1, share=(0.2, 0.4, 0.6), dim=8):
    """Each class present adds a vector of its own; some of the absent ones are marked -1 (only difficult objects)."""
    random = np.random.RandomState(seed)
    present = (random.rand(count, len(share)) < share).astype(np.int8)
    directions = np.random.RandomState(99).randn(len(share), dim)
    x = (present @ directions + 0.9 * random.randn(count, dim)).astype(np.float32)
    present[(present == 0) & (random.rand(*present.shape) < difficult)] = -1
    return Labelled(Features.of(x, np.zeros(count, dtype=np.int64), len(share)), present)


def with_labels(part, present):
    return Labelled(part.features, present)
