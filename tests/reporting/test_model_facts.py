"""What is said about a model: from its card, from what was used, and how to measure it again."""

from __future__ import annotations

import json

import pytest
from results_factory import make_record

from ssl_bench.cards import Paper, PublishedRow
from ssl_bench.registry import PROTOCOLS, registry
from ssl_bench.reporting.about import about, card_of
from ssl_bench.reporting.families import family, method_family
from ssl_bench.reporting.model_facts import all_commands, command, facts, paper_link, preprocessing, web_address
from ssl_bench.reporting.protocol_words import protocol_in_words
from ssl_bench.results.record import WeightsFacts


def test_only_web_addresses_become_links() -> None:
    assert web_address("https://arxiv.org/abs/1") == "https://arxiv.org/abs/1"
    for unsafe in ("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "JavaScript:x", "", None):
        assert web_address(unsafe) is None
    assert paper_link(Paper(title="T", authors="A", url="javascript:alert(1)"))["url"] is None


def test_a_disks_path_is_not_published() -> None:
    weights = WeightsFacts(source="/home/someone/secret/dino.pth", sha256="a", matched=1, total=1)
    record = make_record("m", weights=weights)
    assert facts(about("m", record), record)["weights"]["source"] == "dino.pth"


def test_the_command_repeats_what_differs_from_the_defaults() -> None:
    record = make_record(seed=3)
    assert command(record) == "ssl-bench run --model dino_vits16 --task knn_digits --seed 3"
    assert command(make_record("trained", overrides={"temperature": 0.5, "k": [5, 10]}, partial=True)) == (
        "ssl-bench run --model path/to/trained/card.yaml --task knn_digits --set temperature=0.5 --set 'k=[5, 10]' --limit ..."
    )


def test_few_commands_measure_everything_again() -> None:
    records = [make_record(task=task) for task in ("knn_digits", "linear_digits")]
    records += [make_record(task="low_shot_1_digits", seed=seed) for seed in (0, 1)]
    records += [make_record(task="knn_cifar10", overrides={"k": [5]})]
    assert all_commands("dino_vits16", records) == [
        "ssl-bench run --model dino_vits16 --task knn_digits,linear_digits",
        "ssl-bench run --model dino_vits16 --task low_shot_1_digits --seed 0 --seed 1",
        "ssl-bench run --model dino_vits16 --task knn_cifar10 --set 'k=[5]'",
    ]


def test_the_transform_that_was_used_is_told_in_words() -> None:
    assert preprocessing(make_record().preprocess)[:2] == [
        "shorter side to 256 pixels, bicubic",
        "central 224 x 224 pixels",
    ]
    assert preprocessing({"own": "transform"}) == ['own: "transform"']
    assert preprocessing(None) == []


def test_what_the_card_leaves_open_comes_from_the_record_or_the_paper() -> None:
    row = PublishedRow(method="X", arch="ViT-S", params_m=22, epochs=300, pretrain_data="ImageNet-1K", values=())
    printed = about("x_vits", row=row)
    assert (printed.parameters_m, printed.epochs, printed.pretrained_on) == (22, 300, "imagenet")
    assert (printed.licence, printed.use, printed.method) == (None, None, "x")
    card = about("mae_vitb16", row=row)
    assert (card.epochs, card.pretrained_on, card.licence, card.use) == (
        1600,
        "imagenet",
        "CC-BY-NC-4.0",
        "non-commercial",
    )
    assert card.parameters_m == pytest.approx(85.8, abs=0.1)
    assert about("x_vits", make_record("x_vits"), row).parameters_m == 21


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("vit_small_patch16_224", "ViT"),
        ("deit_small_patch16_224", "ViT"),
        ("swin_base_patch4_window7_224", "Swin"),
        ("convnext_tiny", "ConvNeXt"),
        ("RN50w2", "ResNet"),
        ("resnet18", "ResNet"),
        ("raw_pixels", "other"),
    ],
)
def test_families_of_architectures(architecture: str, kind: str) -> None:
    assert family(architecture) == kind


def test_every_card_has_facts_and_its_method_a_family() -> None:
    for model in registry().models:
        known = about(model)
        json.dumps(facts(known, None))
        card = card_of(model)
        if card is not None and card.folder is not None:
            assert method_family(card.method) != "other", card.method


def test_every_protocol_says_what_it_does() -> None:
    for protocol in PROTOCOLS:
        assert len(" ".join(protocol_in_words(protocol))) > 100, protocol
    assert protocol_in_words("no such protocol") == ()
    assert any("temperature" in text for text in protocol_in_words("knn"))
