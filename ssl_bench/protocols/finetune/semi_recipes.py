"""Recipes of fine-tuning on 1 % or 10 % of the labels. Every number stands in the source named beside it."""

from __future__ import annotations

from dataclasses import replace

from ssl_bench.protocols.finetune.imagenet_recipes import RANDAUGMENT
from ssl_bench.protocols.finetune.recipe import Recipe

# facebookresearch/swav eval_semisup.py: 32 x 8 images (synchronised BatchNorm: one batch), rates as they are.
SWAV = Recipe(
    source="facebookresearch/swav eval_semisup.py",
    epochs=20,
    batch_size=256,
    lr=0.02,
    head_lr=5.0,
    lr_batch=None,
    optimizer="sgd",
    weight_decay=0.0,
    schedule="steps",
    milestones=(12, 16),
    drop=0.2,
    feature="default",
    head_std=0.01,
    interpolation="bilinear",
    forward_batch=256,
    changes={"10": {"lr": 0.01, "head_lr": 0.2}},
)
# SimCLR paper B.5: Nesterov 0.9, 0.05 x batch/256, batch 4096, no warm-up, no regularisation; 60 epochs for 1 %, 30 for
# 10 %. The schedule is not stated: cosine.
SIMCLR = Recipe(
    source="SimCLR paper (arXiv 2002.05709), B.5",
    epochs=60,
    batch_size=4096,
    lr=0.05,
    optimizer="sgd",
    nesterov=True,
    weight_decay=0.0,
    feature="default",
    head_std=0.01,
    forward_batch=256,
    changes={"10": {"epochs": 30}},
)
# BYOL paper C.2: rates and lengths are chosen on held-out training images.
BYOL = replace(
    SIMCLR,
    source="BYOL paper (arXiv 2006.07733), C.2",
    epochs=50,
    batch_size=1024,
    lr=0.02,
    lr_batch=None,
    changes={},
    sweep={"lr": (0.01, 0.02, 0.05, 0.1, 0.005), "epochs": (30, 50)},
)
# facebookresearch/barlowtwins README.md, evaluate.py: cosine by epochs. Only the command for 1 % is given, and taken for
# 10 % too.
BARLOW = replace(
    SWAV,
    source="facebookresearch/barlowtwins README.md",
    lr=0.005,
    head_lr=0.5,
    schedule="cosine_epoch",
    milestones=(),
    changes={},
)
# facebookresearch/vicreg README.md: Barlow Twins' code.
VICREG = replace(
    BARLOW,
    source="facebookresearch/vicreg README.md",
    lr=0.03,
    head_lr=0.08,
    changes={"10": {"lr": 0.01, "head_lr": 0.1}},
)
# I-JEPA paper A (1 % only): no mixup, cutmix, erasing or drop path. The sheet's rate is read as it is, for batch 512.
IJEPA = Recipe(
    source="I-JEPA paper (arXiv 2301.08243), appendix A",
    epochs=50,
    batch_size=512,
    lr=3e-5,
    lr_batch=None,
    weight_decay=0.05,
    layer_decay=0.75,
    feature="mean_norm",
    head_std=2e-5,
    randaugment=RANDAUGMENT,
    smoothing=0.1,
    changes={"huge": {"weight_decay": 0.4}},
)
