"""Writes ``byol_tiny.pkl`` and ``byol_tiny_features.npy``: what DeepMind's BYOL code writes, of a very small network.

Needs dm-haiku, optax and dill (none is a dependency of this package): ``python make_byol.py FOLDER``. The network is
Haiku's own blocks put together as byol/utils/networks.py of deepmind-research does, one block a stage, with 1 channel
in the stem; the file is written as byol/utils/checkpointing.py does (dill, protocol 2).
"""

import sys
import types
from pathlib import Path
from typing import NamedTuple

import dill
import haiku as hk
import jax
import numpy as np
import optax

CHANNELS = (4, 8, 16, 32)


class ResNet50(hk.Module):
    def __init__(self) -> None:
        super().__init__()
        bn = {"decay_rate": 0.9, "eps": 1e-5, "create_scale": True, "create_offset": True}
        self.conv = hk.Conv2D(1, 7, stride=2, with_bias=False, padding="SAME", name="initial_conv")
        self.norm = hk.BatchNorm(name="initial_batchnorm", **bn)
        self.groups = [
            hk.nets.ResNet.BlockGroup(
                channels, 1, 1 if i == 0 else 2, bn, False, True, use_projection=True, name=f"block_group_{i}"
            )
            for i, channels in enumerate(CHANNELS)
        ]

    def __call__(self, images: jax.Array, training: bool) -> jax.Array:
        x = jax.nn.relu(self.norm(self.conv(images), training))
        x = hk.max_pool(x, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
        for group in self.groups:
            x = group(x, training, False)
        return x.mean(axis=(1, 2))


def forward(images: jax.Array, training: bool) -> tuple[jax.Array, jax.Array]:
    features = ResNet50()(images, training)
    return features, hk.Linear(3, name="classifier")(hk.Linear(2, name="projector")(features))


def stub(module: str, name: str, fields: list[str]) -> type:
    """A class of named tuples in the module that the authors' code has it in."""
    for part in (module.rpartition(".")[0], module):
        sys.modules.setdefault(part, types.ModuleType(part))
    made = NamedTuple(name, [(field, object) for field in fields])
    made.__module__ = module
    setattr(sys.modules[module], name, made)
    return made


def images(size: tuple[int, int]) -> np.ndarray:
    """The same in ``tests/backbones/test_byol_files.py``."""
    height, width = size
    at = np.arange(height * width * 3, dtype=np.float64).reshape(1, height, width, 3)
    return np.sin(at * 0.37 + np.sin(at * 0.011)).astype(np.float32)


def main(folder: Path) -> None:
    network = hk.transform_with_state(forward)
    params, state = network.init(jax.random.PRNGKey(0), images((64, 64)), True)
    noise = np.random.default_rng(0)
    params = jax.tree.map(lambda t: np.asarray(t + 0.3 * noise.standard_normal(t.shape), np.float32), params)
    for size in ((64, 64), (48, 40)):  # running statistics of two batches
        _, state = network.apply(params, state, None, images(size), True)
    features = [network.apply(params, state, None, images(size), False)[0][0] for size in ((64, 64), (37, 50))]

    params, state = (hk.data_structures.to_immutable_dict(jax.device_get(tree)) for tree in (params, state))
    byol = stub(
        "byol.byol_experiment",
        "_ByolExperimentState",
        ["online_params", "target_params", "online_state", "target_state", "opt_state"],
    )
    lars = stub("byol.utils.optimizers", "ScaleByLarsState", ["mu"])
    decay = stub("byol.utils.optimizers", "AddWeightDecayState", [])
    # The target network and the momentum are left out but for the classifier: the file stays small.
    rest = hk.data_structures.to_immutable_dict({"classifier": params["classifier"]})
    experiment = byol(params, rest, state, hk.data_structures.to_immutable_dict({}), None)
    experiment = experiment._replace(opt_state=(decay(), lars(mu=rest), optax.EmptyState()))
    content = {"experiment_state": experiment, "step": 2, "rng": jax.random.PRNGKey(1)}
    with open(folder / "byol_tiny.pkl", "wb") as file:
        dill.dump(content, file, protocol=2)
    np.save(folder / "byol_tiny_features.npy", np.stack(features))


main(Path(sys.argv[1]))
