"""FLIP's text tower and BERT's tokeniser."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from proofs.flip import both_shapes, everything, image_forward, save_folder, text_forward
from proofs.proof import Proof, Tensors

from ssl_bench.backbones.embeddings import embed, embedding_dim
from ssl_bench.backbones.flip import FlipBackbone
from ssl_bench.backbones.load import load_model
from ssl_bench.backbones.word_pieces import WordPieces, words_of
from ssl_bench.cards import ModelCard
from ssl_bench.errors import CheckpointError, SettingsError
from ssl_bench.registry import registry

PIECES = [
    "[PAD]",
    "[UNK]",
    "a",
    "photo",
    "of",
    "tench",
    "##fish",
    "gold",
    ".",
    "un",
    "##aff",
    "##able",
    "cafe",
    "'",
    "s",
]
IMAGES = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(3))


def card(words: int = len(PIECES) + 1, **text: Any) -> ModelCard:
    found = registry().model("flip_vitl16_text")
    assert isinstance(found, ModelCard)
    text_cfg = {"width": 32, "layers": 2, "heads": 2, "words": words, **text}
    small = {"embed_dim": 48, "num_heads": 4, "depth": 1, "joint": 24, "text_cfg": text_cfg}
    return found.model_copy(update={"arch_args": small})


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    shapes = both_shapes((48, 1), (32, 2), 16, 24, len(PIECES) + 1)
    return Proof("flip_vitl16_text", shapes, {}, image_forward).tensors()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def path(tensors: Tensors, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(everything(tensors), tmp_path_factory.mktemp("flip"))


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    return tmp_path / "vocab.txt"


def loaded(path: Path) -> FlipBackbone:
    backbone = load_model(card(), weights=path)
    assert isinstance(backbone, FlipBackbone)
    return backbone


@torch.no_grad()
def test_both_towers_equal_a_restatement(path: Path, tensors: Tensors) -> None:
    backbone = loaded(path)
    tokens = torch.randint(0, len(PIECES) + 1, (3, 32), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(backbone.encode_text(tokens), text_forward(2, tensors, tokens), rtol=1e-4, atol=1e-4)
    image = image_forward(4, tensors, IMAGES)
    torch.testing.assert_close(backbone(IMAGES), image, rtol=1e-3, atol=1e-4 * float(image.abs().max()))
    joint = image @ tensors["img_mlp1/kernel"]
    found = embed(backbone, IMAGES, "joint")
    torch.testing.assert_close(found, joint, rtol=1e-3, atol=1e-4 * float(joint.abs().max()))
    assert embedding_dim(backbone, "joint") == found.shape[1] == 24
    assert backbone.embed_dim == 48
    scale = float(tensors["logit_scale"])
    assert backbone.logit_scale == pytest.approx(math.exp(min(max(scale, 0), math.log(100))))


@torch.no_grad()
def test_padding_is_attended_to(path: Path) -> None:
    """The trap: other encoders mask it. The same words with other ids where the padding is give another vector."""
    backbone = loaded(path)
    tokens = torch.zeros(1, 32, dtype=torch.int64)
    tokens[0, :3] = torch.tensor([2, 3, 4])
    other = tokens.clone()
    other[0, 20:] = 5
    assert not torch.allclose(backbone.encode_text(tokens), backbone.encode_text(other), atol=1e-3)


def test_the_first_position_counts(path: Path, tensors: Tensors) -> None:
    """Of images the class token has no position, of texts the first token has one; the table of words is not transposed."""
    state = loaded(path).state_dict()
    assert torch.equal(state["text.pos_embed"], tensors["txt_encoder/posembed_encoder/pos_embedding"])
    assert torch.equal(state["text.token_embedding.weight"], tensors["txt_encoder/token_embedding/embedding"])
    assert not state["module.pos_embed"][:, 0].any()


def test_the_image_tower_is_that_of_the_card_without_texts(path: Path, tensors: Tensors) -> None:
    alone = registry().model("flip_vitl16")
    assert isinstance(alone, ModelCard)
    small = {**alone.arch_args, "embed_dim": 48, "num_heads": 4, "depth": 1}
    with torch.no_grad():
        expected = load_model(alone.model_copy(update={"arch_args": small}), weights=path)(IMAGES)
        assert torch.equal(loaded(path)(IMAGES), expected)


def test_another_number_of_heads_of_the_texts_stops(tmp_path: Path) -> None:
    shapes = both_shapes((48, 1), (768, 1), 16, 24, 20)
    made = Proof("flip_vitl16_text", shapes, {}, image_forward).tensors()  # type: ignore[arg-type]
    file = save_folder(everything(made), tmp_path)
    load_model(card(20, width=768, layers=1, heads=12), weights=file)
    with pytest.raises(CheckpointError, match=r"text_cfg: \{heads: 12\}"):
        load_model(card(20, width=768, layers=1, heads=8), weights=file)


def test_texts_need_the_vocabulary(path: Path, vocabulary: Path, tmp_path: Path) -> None:
    backbone = loaded(path)
    with pytest.raises(SettingsError, match="vocab_bert_base.txt"):
        _ = backbone.tokenizer
    backbone.read_vocabulary(vocabulary)
    assert backbone.tokenizer(["A photo"]).tolist() == [[2, 3] + [0] * 30]
    (tmp_path / "short.txt").write_text("[PAD]\n[UNK]\na\n")
    with pytest.raises(SettingsError, match=r"has 3 pieces; 15 are needed"):
        backbone.read_vocabulary(tmp_path / "short.txt")
    with pytest.raises(SettingsError, match="cannot be read"):
        backbone.read_vocabulary(tmp_path / "missing.txt")


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a photo of a goldfish.", ["a", "photo", "of", "a", "gold", "##fish", "."]),
        ("UNAFFABLE", ["un", "##aff", "##able"]),
        ("Café's", ["cafe", "'", "s"]),
        ("a zebra", ["a", "[UNK]"]),
        ("goldx", ["[UNK]"]),
        ("  a\tphoto\n", ["a", "photo"]),
        ("", []),
        ("a" * 101, ["[UNK]"]),
    ],
)
def test_word_pieces(text: str, pieces: list[str], vocabulary: Path) -> None:
    """BERT's own example (unaffable), accents, punctuation, unknown words, white space."""
    tokenizer = WordPieces(vocabulary, 8, len(PIECES))
    assert tokenizer([text]).tolist() == [[*map(PIECES.index, pieces), *[0] * (8 - len(pieces))]]


def test_long_texts_are_cut_off(vocabulary: Path) -> None:
    assert WordPieces(vocabulary, 3, len(PIECES))(["a photo of a tench"]).tolist() == [[2, 3, 4]]


def test_words() -> None:
    assert words_of("yin-yang 漢字 naïve!\u200b") == ["yin", "-", "yang", "漢", "字", "naive", "!"]
