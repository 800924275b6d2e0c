"""Recipes of fine-tuning ViTs on ImageNet. Every number stands in the source named beside it."""

from __future__ import annotations

from dataclasses import replace

from ssl_bench.protocols.finetune.recipe import Recipe

RANDAUGMENT = "rand-m9-mstd0.5-inc1"

# facebookresearch/mae main_finetune.py, FINETUNE.md: base rate x batch/256, 32 images a GPU (H: 16), mean patch token,
# random erasing 0.25, mixup or cutmix in every batch. Head: truncated normal 2e-5.
MAE = Recipe(
    source="facebookresearch/mae FINETUNE.md",
    epochs=100,
    batch_size=1024,
    lr=5e-4,
    warmup_epochs=5,
    min_lr=1e-6,
    layer_decay=0.65,
    drop_path=0.1,
    feature="mean_norm",
    head_std=2e-5,
    randaugment=RANDAUGMENT,
    erasing=0.25,
    mixup=0.8,
    cutmix=1.0,
    mix_group=32,
    smoothing=0.1,
    changes={
        "large": {"epochs": 50, "lr": 1e-3, "layer_decay": 0.75, "drop_path": 0.2},
        "huge": {"epochs": 50, "lr": 1e-3, "layer_decay": 0.75, "drop_path": 0.3, "mix_group": 16},
    },
)
# microsoft/unilm beit: the rate is for the stated batch. Values of the checkpoints pretrained without labels; the mean of
# the patch tokens has a norm of its own; the head's 0.02 is multiplied by 0.001.
BEIT = replace(
    MAE,
    source="microsoft/unilm beit",
    lr=4e-3,
    lr_batch=None,
    warmup_epochs=20,
    mix_group=128,
    changes={"large": {"epochs": 50, "lr": 1e-3, "warmup_epochs": 5, "layer_decay": 0.75, "drop_path": 0.2}},
)
# The same for checkpoints that were then trained with labels on ImageNet-22k: no warm-up is stated.
BEIT_22K = replace(
    BEIT,
    epochs=30,
    batch_size=512,
    lr=2e-5,
    warmup_epochs=0,
    layer_decay=0.85,
    weight_decay=1e-8,
    changes={"large": {"layer_decay": 0.9, "drop_path": 0.4}},
)
# bytedance/ibot run.sh, evaluation/README.md: BEiT's code with the class token. The authors sweep the rate for each model
# and do not print it; 1e-3 is ours.
IBOT = replace(
    BEIT,
    source="bytedance/ibot run.sh, evaluation/README.md",
    lr=1e-3,
    feature="cls",
    drop_path=0.2,
    changes={
        "small": {"epochs": 200, "layer_decay": 0.75, "drop_path": 0.1},
        "large": {"epochs": 50, "warmup_epochs": 5, "layer_decay": 0.75, "drop_path": 0.4},
    },
)
# facebookresearch/msn, paper: ViT-B/16, batch 1024.
MSN = replace(
    MAE,
    source="MSN paper (arXiv 2204.07141), fine-tuning of ViT-B/16",
    lr=2e-3,
    lr_batch=None,
    drop_path=0.2,
    feature="cls",
    mix_group=128,
    changes={},
)
# I-JEPA paper, appendix: ViT-H/16 at 448 pixels, MAE's recipe with these values; the base rate is read as MAE's, for 256.
IJEPA = replace(
    MAE,
    source="I-JEPA paper (arXiv 2301.08243), appendix",
    epochs=50,
    batch_size=528,
    lr=1e-4,
    weight_decay=0.04,
    layer_decay=0.75,
    drop_path=0.25,
    mix_group=16,
    changes={},
)
