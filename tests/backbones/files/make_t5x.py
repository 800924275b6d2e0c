"""Writes ``t5x_tiny/``: a checkpoint as google-research/t5x's Checkpointer writes it, with flax and TensorStore themselves.

Neither is a dependency of this package: ``python make_t5x.py FOLDER``. The values are 0, 1, 2, ... of each array.
"""

import os
import sys
from pathlib import Path

import flax.serialization
import jax.numpy as jnp
import numpy as np
import tensorstore as ts

flax.serialization.register_serialization_state(
    ts.Spec, ty_to_state_dict=lambda spec: spec.to_json(), ty_from_state_dict=lambda _, spec: ts.Spec(spec)
)


def counted(*shape: int, dtype: object = np.float32) -> np.ndarray:
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def stored(folder: Path, name: str, array: np.ndarray, chunks: list[int], driver: str = "gcs") -> ts.Spec:
    """Written beside the msgpack file; in it, only this description, as of a bucket in the cloud."""
    metadata = {"compressor": {"id": "gzip"}, "shape": list(array.shape), "chunks": chunks}
    spec = {"driver": "zarr", "dtype": jnp.dtype(array.dtype).name, "metadata": metadata}
    local = ts.Spec({**spec, "kvstore": {"driver": "file", "path": str(folder / name)}})
    ts.open(local, create=True, open=True).result().write(array).result()
    where = {"driver": "gcs", "bucket": "t5x-dummy-bucket"} if driver == "gcs" else {"driver": "file"}
    return ts.Spec({**spec, "kvstore": {**where, "path": name}})


def main(folder: Path) -> None:
    target = {
        "encoder": {
            "kernel": stored(folder, "target.encoder.kernel", counted(3, 5), [2, 3]),
            "bias": stored(folder, "target.encoder.bias", np.zeros(5, np.float32), [5]),
            "half": stored(folder, "target.encoder.half", counted(4, dtype=jnp.bfloat16), [4], "file"),
            "scalar": stored(folder, "target.encoder.scalar", np.array(2.5, np.float32), []),
        },
        "logit_scale": counted(1) + 2.5,
        "small_half": counted(3, dtype=jnp.bfloat16),
        "count": np.float32(7),
    }
    flax.serialization.MAX_CHUNK_SIZE = 16  # in bytes, in place of a gigabyte
    target["chunked"] = counted(3, 3)
    state = {"step": np.int32(9), "param_states": {"kernel": {"mu": counted(3, 5)}}}
    content = {"version": 3, "optimizer": {"target": target, "state": state}}
    os.makedirs(folder, exist_ok=True)
    (folder / "checkpoint").write_bytes(flax.serialization.to_bytes(content))


main(Path(sys.argv[1]) / "t5x_tiny")
