"""The example of docs/add-a-method.md works, and its tables name what there is."""

import re
from pathlib import Path

import pytest
import torch
from lightly.loss import NegativeCosineSimilarity
from methods_common import TinyConvNet, descend, images

from ssl_bench.methods.load import load_method
from ssl_bench.methods.method import Method
from ssl_bench.registry import registry

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "add-a-method.md").read_text(encoding="utf-8")


def test_example(fresh_registry: None, tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    (tmp_path / "simsiam.py").write_text(example)
    registry().include(tmp_path / "simsiam.py")
    method = load_method("simsiam", TinyConvNet(), projection_dim=16, predictor_dim=8)
    views = [images(8), images(8) + 0.3 * images(8, seed=1)]
    z = [method.projector(method.encoder(view)) for view in views]
    p = [method.predictor(row) for row in z]
    oracle = NegativeCosineSimilarity()
    expected = (oracle(p[0], z[1]) + oracle(p[1], z[0])) / 2
    assert method(views, 0)["loss"].item() == pytest.approx(expected.item(), rel=1e-4)
    losses = descend(method, views, 20)
    assert losses[-1] < losses[0]
    assert len(type(method).augmentation(32, method.config)) == 2
    assert torch.isfinite(torch.tensor(losses)).all()


def test_tables_name_every_part_and_every_member_of_the_contract() -> None:
    parts = {path.name for path in (REPOSITORY / "ssl_bench" / "methods" / "parts").glob("*.py")}
    inner = {"__init__.py", "draws.py", "resample.py", "colour.py"}  # what augment.py is made of
    assert parts - inner == set(re.findall(r"`(\w+\.py)`", PAGE.split("## Parts")[1].split("## A built-in")[0]))
    members = {"settings", "augmentation", "forward", "before_step", "after_step", "evaluated"}
    named = set(re.findall(r"^\| `(\w+)", PAGE, re.M))
    assert members <= named
    assert all(hasattr(Method, member) for member in members - {"settings"})
