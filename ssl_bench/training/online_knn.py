"""k-NN accuracy while training, on training images only."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import normalize, one_hot

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Split
from ssl_bench.training.batches import generator
from ssl_bench.training.embed import embed

QUERIES, BANK = 1000, 5000


def knn_top1(
    bank: torch.Tensor, bank_labels: torch.Tensor, queries: torch.Tensor, labels: torch.Tensor, k: int = 20
) -> float:
    """Percentage of ``queries`` (M, D) whose label wins the vote of the k most similar of ``bank`` (N, D).

    The vote of a neighbour with cosine s is exp(s / 0.07), as in DINO's k-NN (Caron et al. 2021; Wu et al. 2018, eq. 12).
    """
    similarity, neighbours = (normalize(queries, dim=1) @ normalize(bank, dim=1).T).topk(min(k, len(bank)))
    votes = one_hot(bank_labels[neighbours], int(max(bank_labels.max(), labels.max())) + 1)
    scores = (votes * ((similarity - similarity[:, :1]) / 0.07).exp()[..., None]).sum(1)
    return 100 * float((scores.argmax(1) == labels).double().mean())


def online_knn(backbone: Backbone, split: Split, compute: Compute) -> float:
    """Top-1 (percent) of up to 1,000 training images, classified by up to 5,000 others.

    The images are a fixed random choice, and the queries are never in the bank. The pretraining has seen both, without
    their labels; the test split stays untouched, so the number may guide choices.
    """
    order = torch.randperm(len(split), generator=generator("knn", compute.seed)).numpy()
    m = max(1, min(QUERIES, len(order) // 5))
    labels = torch.as_tensor(np.asarray(split.labels), dtype=torch.long)
    found = [embed(backbone, split, part, compute) for part in (order[m : m + BANK], order[:m])]
    (bank, bank_features), (queries, query_features) = found
    return knn_top1(bank_features, labels[bank], query_features, labels[queries])
