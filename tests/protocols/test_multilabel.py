"""Several labels an image: against scikit-learn, the difficult rule, and what the choice of the strength may see."""

import numpy as np
import pytest
from data.voc_files import write_voc
from protocols.labelled_data import CLASSES, labelled, with_labels
from protocols.probe_data import Colours, compute, dataset
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score
from trained_backbone import trained_backbone

from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.errors import DataError
from ssl_bench.protocols.metrics.average_precision import mean_average_precision
from ssl_bench.protocols.transfer.multilabel import Multilabel, MultilabelSettings, all_metrics, score
from ssl_bench.protocols.transfer.several import learnable
from ssl_bench.registry import registry
from ssl_bench.results.parts import of_lists
from ssl_bench.settings import resolve

FEW = MultilabelSettings(strengths=(0.01, 0.3, 10.0), tolerance=1e-7)


def theirs(strength, x, positive, t):
    """(N, C) decision values of one regression a class."""
    models = [LogisticRegression(C=1 / strength, tol=1e-9, max_iter=9999).fit(x, column) for column in positive.T]
    return np.stack([model.decision_function(t) for model in models], 1)


def points11(positive, scores):
    """The devkit's rule, naively."""
    hits = positive[np.argsort(-scores, kind="stable")]
    precision, recall = hits.cumsum() / np.arange(1, len(hits) + 1), hits.cumsum() / hits.sum()
    return np.mean([max(precision[recall >= t - 1e-12], default=0) for t in np.linspace(0, 1, 11)])


def test_agrees_with_scikit_learn_from_choice_to_test():
    train, val, test = (labelled(n, seed) for n, seed in ((120, 0), (60, 1), (90, 2)))
    ours = score(train, val, test, CLASSES, FEW, Compute())
    positive, known = train.present == 1, val.present >= 0
    held = {}
    for strength in FEW.strengths:
        z = theirs(strength, train.x, positive, val.x)
        held[strength] = 100 * np.mean([points11((val.present[k, c] == 1), z[k, c]) for c, k in enumerate(known.T)])
    assert list(ours.details["held_out_score"].values()) == pytest.approx(list(held.values()), abs=0.01)
    best = max(held, key=held.get)
    assert ours.details["strength"] == best
    x, both = np.concatenate([train.x, val.x]), np.concatenate([positive, val.present == 1])
    z = theirs(best, x, both, test.x)
    seen = test.present >= 0
    ap = [points11(test.present[k, c] == 1, z[k, c]) for c, k in enumerate(seen.T)]
    step = [average_precision_score(test.present[k, c] == 1, z[k, c]) for c, k in enumerate(seen.T)]
    assert ours.metrics["map"] == ours.metrics["map_points11"] == pytest.approx(100 * np.mean(ap), abs=0.02)
    assert ours.metrics["map_step"] == pytest.approx(100 * np.mean(step), abs=0.02)
    assert list(ours.details["ap"].values()) == pytest.approx([100 * a for a in ap], abs=0.05)
    assert (ours.selection, ours.details["trained_on"]) == ("held_out", 180)
    assert ours.interval.low < ours.metrics["map"] < ours.interval.high


def test_f1_agrees_with_scikit_learn_where_nothing_is_difficult():
    random = np.random.RandomState(0)
    present, logits = (random.rand(50, 6) < 0.3).astype(np.int8), random.randn(50, 6)
    ours = all_metrics(present, logits, "area")[0]
    assert ours["overall_f1"] == pytest.approx(100 * f1_score(present, logits > 0, average="micro"))
    assert ours["mean_class_f1"] == pytest.approx(100 * f1_score(present, logits > 0, average="macro"))
    guess = logits >= np.sort(logits, 1)[:, [-3]]
    assert guess.sum(1).tolist() == [3] * 50
    assert ours["overall_f1_top3"] == pytest.approx(100 * f1_score(present, guess, average="micro"))
    assert ours["map"] == ours["map_area"]


def test_difficult_images_are_negatives_in_training_and_left_out_of_the_test():
    train, test = labelled(120, 0, difficult=0.4), labelled(90, 2, difficult=0.4)
    settings = MultilabelSettings(strengths=(1.0,), tolerance=1e-7)
    ours = score(train, None, test, CLASSES, settings, Compute())
    trained_so = score(with_labels(train, np.maximum(train.present, 0)), None, test, CLASSES, settings, Compute())
    tested_so = score(train, None, with_labels(test, np.maximum(test.present, 0)), CLASSES, settings, Compute())
    assert trained_so.metrics == ours.metrics
    assert tested_so.metrics["map"] < ours.metrics["map"]


def test_the_choice_does_not_see_the_test_labels():
    train, test = labelled(120, 0), labelled(90, 2)
    other = with_labels(test, np.random.RandomState(0).permutation(test.present))
    ours, shuffled = (score(train, None, part, CLASSES, FEW, Compute()) for part in (test, other))
    assert ours.metrics["map"] > shuffled.metrics["map"] + 10
    for key in ("strength", "held_out_score", "validation_images"):
        assert ours.details[key] == shuffled.details[key]
    assert ours.details["validation"] == "20% of the training images, drawn"
    assert ours.details["validation_images"] == 24


@pytest.mark.parametrize("primary", ["overall_f1", "per_class_f1", "per_class_f1_top3"])
def test_the_primary_metric_decides_and_has_the_interval(primary):
    train, test = labelled(120, 0), labelled(90, 2)
    settings = FEW.model_copy(update={"primary": primary})
    outcome = score(train, None, test, CLASSES, settings, Compute())
    assert outcome.primary == primary
    assert outcome.interval.low < outcome.metrics[primary] < outcome.interval.high
    held = outcome.details["held_out_score"]
    assert held[f"{outcome.details['strength']:.4g}"] == max(held.values())


def test_the_interval_of_the_mean_ap_is_that_of_images_drawn_again():
    """Against the metric itself on copies of the images."""
    test = labelled(40, 3)
    scores = np.random.RandomState(1).randn(40, 3) + test.present
    random, found = np.random.default_rng(0), []
    for _ in range(1000):
        rows = np.repeat(np.arange(40), np.bincount(random.integers(0, 40, 40), minlength=40))
        found.append(100 * mean_average_precision(test.present[rows], scores[rows], "area")[0])
    interval = of_lists(test.present, scores, "area").interval()
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(found, [0.025, 0.975])))


def test_a_class_about_which_nothing_can_be_learned_is_left_out():
    train, test = labelled(60, 0), labelled(40, 1)
    train.present[:, 1] = 1
    outcome = score(train, None, test, CLASSES, FEW, Compute())
    assert outcome.details["classes_left_out"] == ["two"]
    assert set(outcome.details["ap"]) == {"one", "three"}
    with pytest.raises(DataError, match="No class has 100 training images with it"):
        learnable(train.present, CLASSES, at_least=100)


def test_a_data_set_with_one_label_an_image_is_refused(tmp_path):
    with pytest.raises(DataError, match="Data set colours has no multi-label annotation; it has one label an image"):
        Multilabel().evaluate(Colours(), dataset(), FEW, compute(tmp_path))


def test_voc_in_its_own_layout(tmp_path):
    """Train and validation images together train the classifier that is tested. All cats are marked difficult: none is
    left by VOC's rule, all of them count by CLIP_benchmark's."""
    folder = write_voc(tmp_path / "data", "VOC2007", {"trainval": 28, "test": 12}, difficult={"cat"})
    (folder / "ImageSets/Main/val.txt").write_text("".join(f"{number:06d}\n" for number in range(1, 25, 3)))
    data = load_dataset("voc07", tmp_path / "data")
    np.testing.assert_array_equal(data.train.validation, range(1, 25, 3))
    np.testing.assert_array_equal(data.train.subset([4, 0, 7]).validation, [0, 2])
    classes = {}
    for difficult in ("exclude", "present"):
        settings = FEW.model_copy(update={"difficult": difficult, "geometry": "suite"})
        outcome = Multilabel().evaluate(Colours(), data, settings, compute(tmp_path))
        assert (outcome.details["trained_on"], outcome.details["validation_images"]) == (28, 8)
        assert outcome.details["validation"] == "the data set's own"
        assert outcome.details["preprocess"]["resize"] == 8
        classes[difficult] = set(outcome.details["ap"])
        assert len(classes[difficult]) + len(outcome.details["classes_left_out"]) == 20
    assert classes == {
        "exclude": {"bottle", "car", "dog", "person"},
        "present": {"bottle", "car", "cat", "dog", "person"},
    }


def test_the_tasks():
    suite, own, coco = (registry().task(name) for name in ("transfer_voc07", "multilabel_voc07", "multilabel_coco"))
    settings = resolve(MultilabelSettings, suite.settings, "multilabel")
    assert (len(settings.strengths), settings.rule, settings.geometry) == (45, "points11", "suite")
    assert resolve(MultilabelSettings, own.settings, "multilabel").geometry == "model"
    assert resolve(MultilabelSettings, coco.settings, "multilabel").primary == "per_class_f1"
    assert suite.dataset == own.dataset == "voc07"


def test_coco_mini_gives_every_metric(shared_data, tmp_path):
    data = load_dataset("coco_mini", shared_data)
    settings = FEW.model_copy(update={"primary": "per_class_f1"})
    outcome = Multilabel().evaluate(Colours(), data, settings, compute(tmp_path))
    assert outcome.details["trained_on"] == 80
    assert 0 < outcome.metrics["overall_f1_top3"] < 100
    assert 0 < outcome.metrics["map"] < 100


def test_a_trained_backbone_is_better_on_shapes(tmp_path):
    data = load_dataset("shapes", limit=40)
    trained, untrained = (
        Multilabel().evaluate(trained_backbone("resnet", which), data, FEW, compute(tmp_path))
        for which in (True, False)
    )
    assert trained.interval.low > 85 > 60 > untrained.interval.high
    assert trained.metrics["per_class_f1"] > untrained.metrics["per_class_f1"] + 30
    assert trained.details["classes_left_out"] == ["room"]
