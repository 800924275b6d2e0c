"""``list`` and ``show``: what there is, and everything about one of it."""

from __future__ import annotations

from command import ssl_bench


def test_lists_of_every_kind() -> None:
    for kind in ("models", "tasks", "methods", "recipes", "datasets", "papers", "protocols"):
        done = ssl_bench("list", kind, "--json")
        assert done.code == 0
        assert len(done.json) > 0, kind
    assert {row["method"] for row in ssl_bench("list", "models", "--method", "dino", "--json").json} == {"dino"}
    assert all(
        "vit" in row["arch"] or "vit" in row["model"] for row in ssl_bench("list", "--arch", "vit", "--json").json
    )
    assert {row["protocol"] for row in ssl_bench("list", "tasks", "--protocol", "knn", "--json").json} == {"knn"}


def test_a_model_is_shown_with_its_preprocessing_and_published_numbers() -> None:
    shown = ssl_bench("show", "model", "dino_vits16", "--json").json
    assert shown["preprocess"]["interpolation"] == "bicubic"
    assert shown["licence"] == "Apache-2.0"
    assert any("74.5" in number for number in shown["published"])


def test_a_task_is_shown_with_all_settings() -> None:
    shown = ssl_bench("show", "task", "knn_imagenet", "--json").json
    assert shown["settings"]["temperature"] == 0.07
    assert "k-NN" in shown["protocol in words"]


def test_every_kind_of_entry_can_be_shown_for_people() -> None:
    for kind, name in (
        ("method", "simclr"),
        ("protocol", "linear"),
        ("dataset", "placed_digits"),
        ("paper", "dino"),
        ("recipe", "simclr_small_placed_digits"),
        ("model", "timm:resnet18"),
    ):
        done = ssl_bench("show", kind, name)
        assert done.code == 0, done.err
        assert len(done.out.splitlines()) > 3


def test_a_task_says_what_its_test_images_can_show() -> None:
    label = "smallest accuracy difference that the test images show"
    shown = ssl_bench("show", "task", "linear_imagenet", "--json").json[label]
    assert shown == {"5% disagree": 0.28, "10% disagree": 0.4, "20% disagree": 0.56}  # 2.8 sqrt(w / 50000)
    assert label not in ssl_bench("show", "task", "detect_coco", "--json").json
