"""Linear SVMs of VOC07: against scikit-learn as the benchmark's scripts use it, and what is chosen on what."""

import warnings

import numpy as np
import pytest
from data.voc_files import write_voc
from protocols.labelled_data import CLASSES, labelled, with_labels
from protocols.probe_data import Colours, compute
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.svm import LinearSVC
from trained_backbone import trained_backbone

from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.errors import DataError
from ssl_bench.protocols.transfer import svm
from ssl_bench.protocols.transfer.linear_svm import BENCHMARK_COSTS, VISSL_COSTS, decision, low_shot_rows, unit_length
from ssl_bench.protocols.transfer.svm import Svm, SvmSettings, score, score_low_shot
from ssl_bench.registry import registry
from ssl_bench.settings import resolve
from ssl_bench.training.saved import Saved

FEW = SvmSettings(costs=(0.01, 0.1, 1.0, 10.0))


def saved(folder, name="svm"):
    return Saved(Compute(cache=folder), name, {"of": "this test"})


def run(train, test, folder, settings=FEW, rate=score):
    return rate(train, test, CLASSES, settings, Compute(cache=folder), saved(folder))


def area(positive, scores):
    """The benchmark's calculate_ap, naively: precision made monotone from the right, summed over the steps of recall."""
    hits = positive[np.argsort(-scores, kind="stable")].astype(float)
    precision, recall = hits.cumsum() / np.arange(1, len(hits) + 1), hits.cumsum() / hits.sum()
    steps = np.diff(np.concatenate([[0], recall]))
    return sum(step * precision[i:].max() for i, step in enumerate(steps))


def test_the_costs_of_both_code_bases():
    assert len(BENCHMARK_COSTS) == 18
    assert BENCHMARK_COSTS[:3] == (0.01, 0.1, 0.0625)
    assert BENCHMARK_COSTS[-1] == 0.5**19
    vissl = resolve(SvmSettings, registry().task("svm_vissl_voc07").settings, "svm")
    assert (vissl.costs, vissl.geometry) == (VISSL_COSTS, "squash")
    own = resolve(SvmSettings, registry().task("svm_voc07").settings, "svm")
    assert (own.costs, own.folds, own.rule, own.positive_weight) == (BENCHMARK_COSTS, 3, "area", 2)
    assert (own.tolerance, own.max_iterations) == (1e-4, 2000)
    assert resolve(SvmSettings, registry().task("svm_96_voc07").settings, "svm").shots == 96


def test_agrees_with_the_scripts_of_the_benchmark(tmp_path):
    """Normalise, 3 folds, the best cost of each class, fit to all; images with difficult objects only are negatives."""
    train, test = labelled(150, 0, difficult=0.2), labelled(100, 1, difficult=0.2)
    ours = run(train, test, tmp_path)
    x, t = (part.x.astype(np.float64) for part in (train, test))
    x, t = (part / (np.linalg.norm(part, axis=1, keepdims=True) + 1e-5) for part in (x, t))
    expected = {}
    for c, name in enumerate(CLASSES):
        y = np.where(train.present[:, c] == 1, 1, -1)
        models = [
            LinearSVC(C=cost, class_weight={1: 2, -1: 1}, intercept_scaling=1.0, penalty="l2", loss="squared_hinge",
                      tol=1e-4, dual=True, max_iter=2000, random_state=0)
            for cost in FEW.costs
        ]  # fmt: skip
        held = [cross_val_score(model, x, y, cv=3, scoring="average_precision").mean() for model in models]
        assert ours.details["cross_validated_ap"][name] == pytest.approx([100 * ap for ap in held], abs=1e-3)
        best = int(np.argmax(held))
        assert ours.details["costs"][name] == FEW.costs[best]
        z, known = models[best].fit(x, y).decision_function(t), test.present[:, c] >= 0
        expected[name] = 100 * area(test.present[known, c] == 1, z[known])
    assert ours.details["ap"] == pytest.approx(expected, abs=1e-3)
    assert ours.metrics == {"map": pytest.approx(np.mean(list(expected.values())), abs=1e-3)}
    assert ours.selection == "held_out"
    assert ours.interval.low < ours.metrics["map"] < ours.interval.high


def test_the_choice_does_not_see_the_test_labels(tmp_path):
    train, test = labelled(120, 0), labelled(90, 2)
    other = with_labels(test, np.random.RandomState(0).permutation(test.present))
    ours, shuffled = (run(train, part, tmp_path / str(i)) for i, part in enumerate((test, other)))
    assert ours.metrics["map"] > shuffled.metrics["map"] + 10
    assert ours.details["costs"] == shuffled.details["costs"]
    assert ours.details["cross_validated_ap"] == shuffled.details["cross_validated_ap"]


def test_an_interrupted_run_goes_on_and_gives_the_same(tmp_path, monkeypatch):
    train, test = labelled(120, 0), labelled(90, 2)
    whole = run(train, test, tmp_path / "whole")
    fitted, fit = [], svm.fit_class

    def stopping(x, positive, *rest):
        if len(fitted) == 2:
            raise KeyboardInterrupt
        fitted.append(positive)
        return fit(x, positive, *rest)

    monkeypatch.setattr(svm, "fit_class", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(train, test, tmp_path / "part")
    assert len(saved(tmp_path / "part").load()["ap"]) == 2
    monkeypatch.setattr(svm, "fit_class", lambda *given: fitted.append(given[1]) or fit(*given))
    again = run(train, test, tmp_path / "part")
    assert len(fitted) == 3
    assert (again.metrics, again.details) == (whole.metrics, whole.details)


def test_features_are_divided_by_their_length():
    x = np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(unit_length(x), [[3 / 5.00001, 4 / 5.00001], [0, 0]], rtol=1e-12)
    weights = np.array([[1.0, 2.0, 0.5]])
    np.testing.assert_allclose(decision(x, weights), [[11 / 5.00001 + 0.5], [0.5]])


def test_low_shot_samples_hold_k_positives_and_19_times_as_many_negatives():
    present = np.array([1] * 30 + [0] * 400 + [-1] * 70, dtype=np.int8)
    rows = low_shot_rows(present, 8, 20, np.random.RandomState(0))
    assert (present[rows] == 1).sum() == 8
    assert (present[rows] == 0).sum() == 152
    assert len(set(rows.tolist())) == 160
    assert len(low_shot_rows(present, 25, 20, np.random.RandomState(0))) == 25 + 400


def test_low_shot_says_that_the_cost_is_the_best_on_the_test(tmp_path):
    train, test = labelled(120, 0), labelled(90, 2)
    few = run(train, test, tmp_path / "2", FEW.model_copy(update={"shots": 2}), score_low_shot)
    many = run(train, test, tmp_path / "16", FEW.model_copy(update={"shots": 16}), score_low_shot)
    assert few.selection == "best_on_test"
    assert len(few.details["map_per_sample"]) == 5
    assert few.metrics["map"] == pytest.approx(np.mean(few.details["map_per_sample"]))
    assert few.metrics["map"] == pytest.approx(max(few.details["map_per_cost"].values()), abs=1e-3)
    assert few.metrics["map_std"] == pytest.approx(np.std(few.details["map_per_sample"], ddof=1))
    assert many.metrics["map"] > few.metrics["map"]
    one = run(train, test, tmp_path / "one", FEW.model_copy(update={"shots": 2, "costs": (0.1,)}), score_low_shot)
    assert one.selection == "fixed"
    with pytest.raises(DataError, match=r"fewer than 100 training images with one \("):
        run(train, test, tmp_path / "100", FEW.model_copy(update={"shots": 100}), score_low_shot)


def test_an_interrupted_low_shot_run_gives_the_same(tmp_path):
    train, test = labelled(120, 0), labelled(90, 2)
    settings = FEW.model_copy(update={"shots": 4})
    whole = run(train, test, tmp_path / "whole", settings, score_low_shot)
    state = saved(tmp_path / "whole").load()
    saved(tmp_path / "part").save({"map": state["map"][:3]})
    part = run(train, test, tmp_path / "part", settings, score_low_shot)
    assert part.details == whole.details


def test_what_did_not_converge_is_named_and_not_warned_of(tmp_path):
    settings = FEW.model_copy(update={"max_iterations": 1, "costs": (1000.0,)})
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        outcome = run(labelled(120, 0), labelled(60, 1), tmp_path, settings)
    assert outcome.details["unconverged_classes"] == list(CLASSES)
    assert outcome.selection == "fixed"


def test_voc_in_its_own_layout(tmp_path):
    write_voc(tmp_path / "data", "VOC2007", {"trainval": 30, "test": 12})
    outcome = Svm().evaluate(Colours(), load_dataset("voc07", tmp_path / "data"), FEW, compute(tmp_path))
    assert set(outcome.details["ap"]) == {"bottle", "car", "cat", "dog", "person"}
    assert len(outcome.details["classes_left_out"]) == 15
    assert not list((tmp_path / "cache" / "svm").iterdir())


def test_a_trained_backbone_is_better_on_shapes(tmp_path):
    data = load_dataset("shapes", limit=40)
    settings = FEW.model_copy(update={"costs": (0.01, 0.1)})
    trained, untrained = (
        Svm().evaluate(trained_backbone("resnet", which), data, settings, compute(tmp_path)) for which in (True, False)
    )
    assert trained.interval.low > 85 > 60 > untrained.interval.high
    few = settings.model_copy(update={"shots": 4})
    trained, untrained = (
        Svm().evaluate(trained_backbone("resnet", which), data, few, compute(tmp_path)) for which in (True, False)
    )
    assert trained.metrics["map"] > untrained.metrics["map"] + 20
