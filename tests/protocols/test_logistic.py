import math

import numpy as np
import pytest
import torch
from conformance.golden_features import golden_features
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from ssl_bench.protocols.logistic import logistic_path, sigmoid_residual, softmax_residual


def problem(seed, batch, n, d, classes, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, n, d, generator=generator, dtype=torch.float64) * torch.logspace(0, -1.5, d)
    y = torch.stack([torch.arange(n) % classes for _ in range(batch)])
    return (x + 0.3).to(dtype), y


def objective(x, y, w, b, penalty):
    """P(W, b) of the docstring, written naively."""
    return torch.nn.functional.cross_entropy(x @ w.T + b, y) + penalty / len(y) / 2 * w.square().sum()


def centred(x):
    x = x - x.mean(1, keepdims=True)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(("n", "d"), [(60, 8), (12, 30)])
def test_agrees_with_scikit_learn(n, d, intercept):
    x, y = problem(0, 2, n, d, 3)
    penalties = [0.01, 1.0, 0.1]
    path = logistic_path(x, y, 3, penalties, intercept=intercept, tolerance=1e-11)
    assert [solution.penalty for solution in path] == penalties
    for solution in path:
        for i in range(2):
            theirs = LogisticRegression(C=1 / solution.penalty, fit_intercept=intercept, tol=1e-9, max_iter=10000)
            theirs.fit(x[i].numpy(), y[i].numpy())
            np.testing.assert_allclose(solution.weights[i], theirs.coef_, rtol=1e-4, atol=1e-4)
            if intercept:
                bias = solution.bias[i] - solution.bias[i].mean()
                np.testing.assert_allclose(bias, theirs.intercept_ - theirs.intercept_.mean(), atol=1e-4)
            np.testing.assert_array_equal(solution.logits(x[i])[i].argmax(1), theirs.predict(x[i].numpy()))


@pytest.mark.parametrize(
    ("n", "penalty", "accuracy", "norm"),
    [
        (10, 0.25, 0.3130, 6.467),
        (10, 0.0025, 0.2957, 20.649),
        (10, 0.00025, 0.2957, 27.964),
        (20, 0.25, 0.3261, 8.916),
        (20, 0.0025, 0.3174, 29.229),
        (20, 0.00025, 0.3261, 40.12),
        (50, 0.25, 0.3957, 12.840),
        (50, 0.0025, 0.3739, 54.037),
        (50, 0.00025, 0.3565, 80.390),
        (130, 0.25, 0.5261, 16.831),
        (130, 0.0025, 0.4957, 73.469),
        (130, 0.00025, 0.4609, 112.998),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_golden_values_of_msn(n, penalty, accuracy, norm, dtype):
    golden = golden_features(0, 10, 16, n, 230, 2)
    x, y = torch.from_numpy(centred(golden.train_x)).to(dtype), torch.from_numpy(golden.train_y)
    (solution,) = logistic_path(x[None], y[None], 10, [penalty], tolerance=1e-5)
    prediction = solution.logits(torch.from_numpy(centred(golden.test_x)))[0].argmax(1).numpy()
    assert abs((prediction == golden.test_y).mean() - accuracy) <= 1.01 / 230
    assert solution.weights.norm().item() == pytest.approx(norm, rel=3e-3)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 100),
    st.integers(2, 5),
    st.integers(5, 40),
    st.integers(1, 20),
    st.floats(1e-4, 10),
    st.booleans(),
)
def test_the_gap_bounds_the_distance_to_the_minimum(seed, classes, n, d, penalty, intercept):
    """Property: the objective is what the formula says, and no more than ``gap`` above a much more exact solution."""
    x, y = problem(seed, 1, n, d, classes)
    loose, *_ = logistic_path(x, y, classes, [penalty], tolerance=1e-2, intercept=intercept)
    exact, *_ = logistic_path(x, y, classes, [penalty], tolerance=1e-10, intercept=intercept)
    naive = objective(x[0], y[0], loose.weights[0], loose.bias[0], penalty)
    assert loose.objective[0].item() == pytest.approx(naive.item(), rel=1e-9)
    assert exact.objective[0] <= loose.objective[0] * (1 + 1e-9)
    if not intercept:
        assert loose.objective[0] * (1 - loose.gap[0]) <= exact.objective[0] * (1 + 1e-9)


def test_a_path_ends_where_a_single_solve_ends():
    x, y = problem(1, 1, 40, 10, 4)
    path = logistic_path(x, y, 4, [1.0, 0.1, 0.01], tolerance=1e-12)
    (alone,) = logistic_path(x, y, 4, [0.01], tolerance=1e-12)
    torch.testing.assert_close(path[-1].weights, alone.weights, atol=1e-5, rtol=1e-5)


def test_problems_of_a_batch_do_not_touch_each_other():
    x, y = problem(2, 3, 30, 6, 3)
    x[2] *= 10
    together = logistic_path(x, y, 3, [0.01])[0]
    for i in range(3):
        alone = logistic_path(x[i : i + 1], y[i : i + 1], 3, [0.01])[0]
        torch.testing.assert_close(together.weights[i], alone.weights[0])


def test_order_of_samples_does_not_matter():
    x, y = problem(3, 1, 30, 6, 3)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    one, other = (logistic_path(a, b, 3, [0.01], tolerance=1e-12)[0] for a, b in ((x, y), (x[:, order], y[:, order])))
    torch.testing.assert_close(one.weights, other.weights, atol=1e-6, rtol=1e-5)


def test_single_precision_reaches_the_same_solution():
    x, y = problem(4, 1, 200, 20, 5)
    single, double = (
        logistic_path(x.to(dtype), y, 5, [1e-3], tolerance=1e-5)[0] for dtype in (torch.float32, torch.float64)
    )
    assert single.objective[0].item() == pytest.approx(double.objective[0].item(), rel=2e-5)


def test_chunks_do_not_change_the_solution(monkeypatch):
    x, y = problem(5, 1, 50, 6, 4)
    whole = logistic_path(x, y, 4, [0.1], tolerance=1e-12)[0]
    monkeypatch.setattr("ssl_bench.protocols.logistic.CHUNK", 4 * 7)
    torch.testing.assert_close(logistic_path(x, y, 4, [0.1], tolerance=1e-12)[0].weights, whole.weights)


def test_residuals_are_exact_for_very_sure_logits():
    logits = torch.tensor([[[30.0, 0.0, -5.0], [-200.0, 100.0, 0.0]]])
    losses, residual = softmax_residual(logits, torch.tensor([[0, 0]]))
    wrong = math.exp(-30) + math.exp(-35)
    assert losses[0].tolist() == pytest.approx([math.log1p(wrong), 300.0], rel=1e-6)
    assert residual[0, 0, 0].item() == pytest.approx(-wrong / (1 + wrong), rel=1e-5)
    torch.testing.assert_close(residual.sum(-1), torch.zeros(1, 2))


def test_constant_features_and_single_samples_are_solved():
    x, y = torch.zeros(1, 3, 4), torch.tensor([[0, 1, 1]])
    (solution,) = logistic_path(x, y, 2, [0.1])
    assert solution.weights.abs().max() == 0
    (solution,) = logistic_path(torch.ones(1, 1, 4), torch.zeros(1, 1, dtype=torch.long), 2, [0.1])
    assert solution.logits(torch.ones(1, 4)).argmax() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_binary_regressions_agree_with_scikit_learn(dtype):
    """One regression a class, all at once, each with its own minimum."""
    x, _ = problem(6, 1, 80, 10, 3)
    generator = torch.Generator().manual_seed(1)
    y = torch.rand(1, 80, 4, generator=generator) < torch.tensor([0.1, 0.3, 0.5, 0.9])
    for solution in logistic_path(x.to(dtype), y, 4, [1.0, 0.03], intercept=True, tolerance=1e-9):
        for c in range(4):
            theirs = LogisticRegression(C=1 / solution.penalty, tol=1e-9, max_iter=10000).fit(x[0].numpy(), y[0, :, c])
            np.testing.assert_allclose(solution.weights[0, c], theirs.coef_[0], rtol=2e-3, atol=2e-3)
            np.testing.assert_allclose(solution.bias[0, c], theirs.intercept_[0], atol=2e-3)


def test_binary_residuals_are_exact_for_very_sure_logits():
    logits = torch.tensor([[[30.0, -30.0], [200.0, -200.0]]])
    losses, residual = sigmoid_residual(logits, torch.tensor([[[True, False], [False, True]]]))
    assert losses[0].tolist() == pytest.approx([2 * math.exp(-30), 400.0], rel=1e-5)
    assert residual[0, 0].tolist() == pytest.approx([-math.exp(-30), math.exp(-30)], rel=1e-5)
    assert residual[0, 1].tolist() == [1.0, -1.0]
