"""Recipes of fine-tuning on other data sets. Every number stands in the source named beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ssl_bench.protocols.finetune.imagenet_recipes import RANDAUGMENT
from ssl_bench.protocols.finetune.recipe import Recipe

# bytedance/ibot evaluation/eval_cls.py, run.sh, which keep DeiT's recipe (as DINO's Table 6): 8 x 96 images, rate x
# batch/512, no layer decay, repeated augmentation. The script averages the weights (0.99996) and evaluates the weights
# themselves; it takes ten cool-down epochs and never runs them. Erasing is DeiT's 0.25 where run.sh has no other. On
# ImageNet DeiT's own defaults: DINO says for its Table 6 no more than that it follows DeiT.
DEIT = Recipe(
    source="bytedance/ibot evaluation/eval_cls.py, run.sh (DeiT's recipe)",
    epochs=1000,
    batch_size=768,
    lr=7.5e-6,
    lr_batch=512,
    schedule="cosine_timm",
    warmup_epochs=5,
    warmup_lr=1e-6,
    min_lr=1e-5,
    drop_path=0.1,
    randaugment=RANDAUGMENT,
    erasing=0.25,
    mixup=0.8,
    cutmix=1.0,
    mix_group=96,
    forward_batch=96,
    smoothing=0.1,
    repeats=3,
    ema=0.99996,
    changes={
        "imagenet": {"epochs": 300, "batch_size": 1024, "lr": 5e-4, "mix_group": 128, "forward_batch": 128},
        "cars": {"lr": 7.5e-5},
        "inat18": {"epochs": 360, "erasing": 0.1},
        "inat19": {"epochs": 360, "erasing": 0.1},
        "inat18/small": {"lr": 5e-5},
        "inat19/small": {"lr": 2.5e-5},
    },
)
# MSN paper: DeiT's recipe, the same rate on all sets; iNaturalist shorter and with batch 1024 and 1e-4.
_INAT = {"epochs": 300, "batch_size": 1024, "lr": 1e-4, "mix_group": 128, "forward_batch": 128}
MSN_TRANSFER = replace(
    DEIT,
    source="MSN paper (arXiv 2204.07141), transfer",
    lr=7.5e-5,
    changes={"inat18": _INAT, "inat19": _INAT},
)
# facebookresearch/moco-v3 README.md: "all the default DeiT configs", ViT-B for 150 epochs (DeiT-S: 300), 8 x 128 images.
MOCOV3 = replace(
    DEIT,
    source="facebookresearch/moco-v3 README.md (DeiT's defaults)",
    epochs=150,
    batch_size=1024,
    lr=5e-4,
    mix_group=128,
    forward_batch=128,
    changes={"small": {"epochs": 300}},
)
# facebookresearch/moco-v3 transfer/: DeiT's code with transforms of their own (datasets.py: crops of 0.05 to 1 and flips,
# nothing else), so that RandAugment and the erasing flag of the Flowers command have no effect. The README's text says
# batch 128, its commands 8 x 128.
MOCOV3_TRANSFER = replace(
    MOCOV3,
    source="facebookresearch/moco-v3 transfer/README.md, datasets.py",
    epochs=100,
    lr=3e-4,
    weight_decay=0.1,
    warmup_epochs=3,
    repeats=1,
    crop_scale=(0.05, 1.0),
    interpolation="bilinear",
    randaugment=None,
    erasing=0.0,
    changes={
        "cifar100": {"mixup": 0.5},
        "flowers": {"weight_decay": 0.3, "mixup": 0.0, "cutmix": 0.0},
        "pets": {"drop_path": 0.0, "cutmix": 0.0},
    },
)
# BYOL paper D, after SimCLR B.8 and Kornblith et al. 2019: 20,000 updates of 256 images, random crops and flips only, 7
# rates and 7 + 1 weight decays, each decay divided by the rate; no schedule is stated: the rate follows a cosine here.
BYOL_20K = Recipe(
    source="BYOL paper (arXiv 2006.07733), appendix D",
    epochs=1,
    steps=20_000,
    batch_size=256,
    lr=1e-2,
    lr_batch=None,
    optimizer="sgd",
    nesterov=True,
    weight_decay=1e-5,
    decay_by_rate=True,
    feature="default",
    head_std=0.01,
    batch_norm_rule=True,
    forward_batch=256,
    sweep={
        "lr": tuple(float(v) for v in np.logspace(-4, -1, 7)),
        "weight_decay": (0.0, *(float(v) for v in np.logspace(-6, -3, 7))),
    },
)
