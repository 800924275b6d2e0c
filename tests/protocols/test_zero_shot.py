"""Zero-shot classification: the rule against a restatement, its traps, the cache, and a real CLIP built by open_clip."""

import json

import numpy as np
import pytest
import torch
from command import ssl_bench
from protocols.probe_data import Colours, compute, dataset

from ssl_bench.backbones.load import load_model
from ssl_bench.backbones.texts import text_tower
from ssl_bench.cards import ModelCard, PreprocessCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features, extract
from ssl_bench.errors import SettingsError
from ssl_bench.protocols.zero_shot.prompts import find_prompts, sentences
from ssl_bench.protocols.zero_shot.text_vectors import class_vectors
from ssl_bench.protocols.zero_shot.zero_shot import ZeroShot, ZeroShotSettings, ranked
from ssl_bench.settings import resolve


class Words(Colours):
    """Colours with a text tower: a text is (number of the word, number of the sentence), its vector a row of a table."""

    name, joint, logit_scale = "words", "joint", 100.0

    def __init__(self, table):
        super().__init__()
        self.own_embeddings = {"joint": 3}
        self.table = torch.nn.Parameter(torch.as_tensor(table, dtype=torch.float32), requires_grad=False)
        self.seen = []

    def own_embedding(self, images, name):
        return self(images)

    def tokenizer(self, texts):
        self.seen += texts
        return torch.tensor([[int(part) for part in text.split(",")] for text in texts])

    def encode_text(self, tokens):
        return self.table[tokens[:, 0], tokens[:, 1]]


def restated(table):
    """The rule in five lines of NumPy."""
    vectors = []
    for sentences_of_class in np.asarray(table):
        each = [v / np.sqrt((v * v).sum()) for v in sentences_of_class]
        mean = sum(each) / len(each)
        vectors.append(mean / np.sqrt((mean * mean).sum()))
    return np.array(vectors)


@pytest.mark.parametrize(("classes", "templates"), [(7, 5), (3, 300), (400, 1)])
def test_class_vectors_equal_a_restatement(classes, templates, tmp_path):
    """Also with more sentences than one forward takes, of one class and of all."""
    table = np.random.RandomState(0).randn(classes, templates, 4) * np.random.RandomState(1).rand(classes, templates, 1)
    texts = [[f"{c},{t}" for t in range(templates)] for c in range(classes)]
    model = Words(table)
    found = class_vectors(model, texts, "mine", compute(tmp_path))
    np.testing.assert_allclose(found, restated(table), atol=1e-6)
    assert model.seen == [text for some in texts for text in some]


# Class 0: sentences that agree less. Class 1: one that is a little further from the image.
APART = np.array([[[1, 1, 0], [1, -1, 0]], [[1, 0, 0.8], [1, 0, 0.8]]])
IMAGE = Features.of(np.array([[2.0, 0, 0.1]]), np.array([0]), 2)


def test_the_second_normalisation_decides(tmp_path):
    """The trap: without it the class whose sentences agree wins."""
    right = class_vectors(Words(APART), [["0,0", "0,1"], ["1,0", "1,1"]], "mine", compute(tmp_path))
    assert ranked(IMAGE, right, 100).prediction.tolist() == [0]
    each = APART / np.linalg.norm(APART, axis=-1, keepdims=True)
    assert ranked(IMAGE, each.mean(1), 100).prediction.tolist() == [1]


def test_the_first_normalisation_decides(tmp_path):
    """Without it the longest sentence's vector outvotes the others."""
    table = np.array([[[9.0, 0, 0], [0, 1, 0], [0, 1, 0]]])
    found = class_vectors(Words(table), [["0,0", "0,1", "0,2"]], "mine", compute(tmp_path))
    np.testing.assert_allclose(found, [[1 / 5**0.5, 2 / 5**0.5, 0]], atol=1e-6)


@pytest.mark.parametrize("scale", [0.5, 100.0])
def test_the_scale_changes_no_prediction(scale):
    x = np.random.RandomState(0).randn(50, 4)
    vectors = restated(np.random.RandomState(1).randn(6, 2, 4))
    images = Features.of(x, np.arange(50) % 6, 6)
    found = ranked(images, vectors, scale)
    cosine = (x / np.linalg.norm(x, axis=1, keepdims=True)) @ vectors.T
    assert found.prediction.tolist() == cosine.argmax(1).tolist()
    expected = np.exp(scale * cosine) / np.exp(scale * cosine).sum(1, keepdims=True)
    np.testing.assert_allclose(found.probability, expected.max(1), rtol=1e-4)


def test_vectors_are_kept_and_a_killed_run_goes_on(tmp_path, monkeypatch):
    from ssl_bench.protocols.zero_shot import text_vectors

    monkeypatch.setattr(text_vectors, "BATCH", 4)
    monkeypatch.setattr(text_vectors, "BLOCK", 1)
    table = np.random.RandomState(0).randn(10, 2, 3)
    texts = [[f"{c},{t}" for t in range(2)] for c in range(10)]
    killed, encode = Words(table), Words.encode_text

    def dies(self, tokens):
        if tokens[0, 0] >= 6:
            raise KeyboardInterrupt
        return encode(self, tokens)

    monkeypatch.setattr(Words, "encode_text", dies)
    with pytest.raises(KeyboardInterrupt):
        class_vectors(killed, texts, "mine", compute(tmp_path))
    monkeypatch.setattr(Words, "encode_text", encode)
    again = Words(table)
    found = class_vectors(again, texts, "mine", compute(tmp_path))
    assert again.seen[0] == "6,0"
    np.testing.assert_allclose(found, restated(table), atol=1e-6)
    third = Words(table)
    assert np.array_equal(class_vectors(third, texts, "mine", compute(tmp_path)), found)
    assert third.seen == []
    class_vectors(third, [[f"{c},0"] for c in range(10)], "mine", compute(tmp_path))
    class_vectors(third, texts, "mine", compute(tmp_path, precision="bf16"))
    assert len(third.seen) == 10 + 20


# ---------------------------------------------------------------------------------------------------------------------

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"layers": 1, "width": 64, "head_width": 32, "patch_size": 4, "image_size": 8},
    "text_cfg": {"layers": 1, "width": 32, "heads": 2},
}


def tiny_clip():
    preprocess = PreprocessCard(resize=8, crop=8, mean=(0.5,) * 3, std=(0.25,) * 3)
    card = ModelCard(name="tiny", method="clip", arch="open_clip:ViT-B-32", arch_args=TINY, preprocess=preprocess)
    return load_model(card)


def taught(data, texts, folder):
    """A CLIP whose projection of images is solved (ridge regression) so that each training image's products with the
    class vectors are 1 for its class and 0 for the others."""
    model = tiny_clip()
    train = extract(model, data.train, compute(folder), "pre_projection")
    with torch.no_grad():
        each = [torch.nn.functional.normalize(model.encode_text(model.tokenizer(some)), dim=1) for some in texts]
        classes = torch.nn.functional.normalize(torch.stack([some.mean(0) for some in each]), dim=1).double()
        x = torch.from_numpy(np.array(train.x)).double()
        targets = torch.linalg.pinv(classes).T[train.y]
        solved = torch.linalg.solve(x.T @ x + 1e-2 * len(x) * torch.eye(x.shape[1]), x.T @ targets)
        model.module.visual.proj.copy_(solved)
    return model


def shuffled(data, order):
    """The same images with the classes in another order."""
    names = tuple(data.classes[i] for i in order)
    place = np.argsort(order)
    for part in (data.train, data.test):
        part.labels, part.classes = place[part.labels], names
    return Dataset("shuffled", data.train, data.test)


def test_a_real_clip_knows_the_classes_that_it_was_taught(tmp_path):
    """And its ensemble of templates equals open_clip's towers put together by hand."""
    data, templates = dataset(train=240), ["a photo of a {}.", "{} things", "the colour {}"]
    texts = sentences(data.classes, "colours", None, templates)
    model = taught(data, texts, tmp_path)
    settings = ZeroShotSettings(templates=tuple(templates))
    outcome = ZeroShot().evaluate(model, data, settings, compute(tmp_path))
    assert outcome.metrics["top1"] > 80
    assert outcome.selection == "fixed"
    assert outcome.interval.low < outcome.metrics["top1"] <= outcome.interval.high
    assert outcome.details["sentences"] == 9
    with torch.no_grad():
        theirs = [model.module.encode_text(model.tokenizer(some), normalize=True).mean(dim=0) for some in texts]
        weights = torch.stack([mean / mean.norm() for mean in theirs], dim=1)
        images = torch.stack([model.preprocess(data.test.image(i)) for i in range(len(data.test))])
        logits = 100 * model.module.encode_image(images, normalize=True) @ weights
    assert outcome.predictions.prediction.tolist() == logits.argmax(1).tolist()
    other = ZeroShot().evaluate(model, shuffled(dataset(), [2, 0, 1]), settings, compute(tmp_path))
    assert other.metrics == outcome.metrics
    chance = ZeroShot().evaluate(tiny_clip(), dataset(), settings, compute(tmp_path))
    assert chance.metrics["top1"] < 60


def test_the_data_sets_metric_is_primary(tmp_path):
    data = dataset(metric="mean_per_class")
    outcome = ZeroShot().evaluate(tiny_clip(), data, ZeroShotSettings(), compute(tmp_path))
    assert outcome.primary == "mean_per_class"
    assert "top5" not in outcome.metrics
    assert outcome.details["prompts"] == "the data set's own class names"


def test_two_classes_by_the_area_under_the_curve(tmp_path):
    data = dataset()
    kept = [part.subset(np.flatnonzero(part.labels < 2)) for part in (data.train, data.test)]
    for part in kept:
        part.classes = ("red", "green")
    outcome = ZeroShot().evaluate(
        tiny_clip(), Dataset("two", *kept), ZeroShotSettings(metric="roc_auc"), compute(tmp_path)
    )
    assert outcome.primary == "roc_auc"
    assert 0 <= outcome.interval.low <= outcome.metrics["roc_auc"] <= outcome.interval.high <= 100


def test_several_labels_on_shapes(tmp_path):
    from ssl_bench.data.builders import load_dataset

    data = load_dataset("shapes", limit=6)
    outcome = ZeroShot().evaluate(tiny_clip(), data, ZeroShotSettings(metric="map"), compute(tmp_path))
    assert list(outcome.metrics) == ["map"]
    assert outcome.details["ap"]["room"] == pytest.approx(100)
    assert outcome.details["prompts"] == "ssl-bench"


def test_a_model_without_texts_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="Model colours has no text tower"):
        ZeroShot().evaluate(Colours(), dataset(), ZeroShotSettings(), compute(tmp_path))
    assert text_tower(Words(APART)).joint == "joint"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"templates": "a photo of a {}."}, "must be a name, or a list"),
        ({"templates": ["a photo"]}, "where the class name goes"),
        ({"templates": []}, "must be a name, or a list"),
        ({"metric": "f1"}, "metric"),
    ],
)
def test_wrong_settings(given, message):
    with pytest.raises(SettingsError, match=message):
        resolve(ZeroShotSettings, given, "zero_shot")


def test_subsets_of_templates(tmp_path):
    from ssl_bench.protocols.zero_shot.zero_shot import chosen_templates

    imagenet, pets = find_prompts("imagenet"), find_prompts("pets")
    assert len(chosen_templates("seven", imagenet)) == 7
    assert chosen_templates("seven", pets) == chosen_templates("all", pets) == pets.templates
    assert chosen_templates("plain", imagenet) == chosen_templates("all", None) == ("a photo of a {}.",)
    with pytest.raises(SettingsError, match="no such subset"):
        chosen_templates("eight", imagenet)


CARDS = f"""
method: clip
models:
  tinyclip: {{arch: "open_clip:ViT-B-32", arch_args: {json.dumps(TINY)}, preprocess: {{resize: 8, crop: 8}}}}
"""


@pytest.mark.usefixtures("fresh_registry")
def test_on_the_command_line(tmp_path):
    (tmp_path / "tiny.yaml").write_text(CARDS)
    run = ["run", "--results", tmp_path / "results", "--limit", 4, "--task", "zero_shot_shapes"]
    done = ssl_bench(*run, "--include", tmp_path / "tiny.yaml", "--model", "tinyclip", "--json")
    assert done.code == 0, done.err
    refused = ssl_bench(*run, "--model", "random_vit_small32")
    assert refused.code == 2
    assert "Model random_vit_small32 has no text tower, which zero_shot_shapes needs" in refused.err
    both = ssl_bench(*run, "--model", "tinyclip,raw_pixels*", "--dry-run", "--json")
    assert both.code == 0, both.err
    assert "raw_pixels" not in both.out
    assert "raw_pixels, which have no text tower" in both.err


@pytest.mark.usefixtures("fresh_registry")
def test_flip_reads_its_vocabulary(tmp_path):
    """Untrained, and small; the file is named by a setting."""
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "a", "disc", "ring", "picture", "of"]))
    arch = {"embed_dim": 32, "depth": 1, "num_heads": 2, "img_size": 32, "joint": 16}
    arch["text_cfg"] = {"width": 32, "layers": 1, "heads": 2, "words": 8}
    card = f"tinyflip: {{arch: flip, arch_args: {json.dumps(arch)}, preprocess: {{resize: 32, crop: 32}}}}"
    (tmp_path / "tiny.yaml").write_text(f"method: flip\nmodels:\n  {card}\n")
    run = ["run", "--results", tmp_path / "results", "--limit", 2, "--task", "zero_shot_shapes", "--model", "tinyflip"]
    lacking = ssl_bench(*run, "--include", tmp_path / "tiny.yaml")
    assert lacking.code == 2
    assert "needs BERT's vocabulary" in lacking.err
    done = ssl_bench(*run, "--set", f"vocabulary={tmp_path / 'vocab.txt'}", "--json")
    assert done.code == 0, done.err
