"""What the temperature does in the contrastive loss (Wang and Liu, CVPR 2021, arXiv:2012.09740).

Of an anchor i with its positive at the cosine similarity s_ii and negatives at s_ik::

    L_i = -log( exp(s_ii / t) / (exp(s_ii / t) + sum_k exp(s_ik / t)) )
    dL_i / ds_ii = -(1 / t) sum_k P_ik,     dL_i / ds_ij = (1 / t) P_ij,     P_ij = exp(s_ij / t) / (the denominator)
    relative penalty of a negative   r_ij = exp(s_ij / t) / sum_k exp(s_ik / t)

A low temperature punishes the nearest negatives only, a high one all alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl_bench.errors import FeatureError
from ssl_bench.reporting.charts import PALETTE, save, styled, to_svg

if TYPE_CHECKING:
    import altair as alt

TEMPERATURES = (0.07, 0.1, 0.2, 0.3, 0.5, 1.0)
ANCHORS, NEGATIVES = 256, 4096
BINS = 40
HARDEST = 0.01


def relative_penalty(negatives: np.ndarray, temperature: float) -> np.ndarray:
    """r: (n, k) similarities of n anchors to k negatives -> (n, k), rows sum to 1."""
    logits = negatives / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    share: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return share


def pull(positive: np.ndarray, negatives: np.ndarray, temperature: float) -> np.ndarray:
    """-dL/ds_ii, how hard the positive is drawn closer: (m,) similarities of it, for each of n anchors with (n, k) negatives ->
    (n, m). The negatives together are pushed away as hard."""
    logits = negatives / temperature
    highest = logits.max(axis=1)
    total = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    found: np.ndarray = 1 / (1 + np.exp(positive[None] / temperature - total[:, None])) / temperature
    return found


def similarities(features: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """(n, k) cosines of up to 256 anchors to up to 4,096 other rows of ``features`` (N, D); without features, of random
    directions in 128 dimensions, as they are before any training."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((ANCHORS + NEGATIVES, 128)) if features is None else np.asarray(features, dtype=np.float64)
    if len(x) < 3:
        raise FeatureError("There are fewer than three features to compare.", "Extract more.")
    x = x[rng.permutation(len(x))[: ANCHORS + NEGATIVES]]
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    anchors = min(ANCHORS, len(x) // 2)
    found: np.ndarray = x[:anchors] @ x[anchors:].T
    return found


def temperature(
    out: Path, features: np.ndarray | None = None, title: str = "random directions in 128 dimensions"
) -> Path:
    """Three charts side by side; ``out`` ends in .png or .svg."""
    save(to_svg(chart(similarities(features), title)), out)
    return out


def chart(negatives: np.ndarray, title: str) -> alt.TopLevelMixin:
    """Left: which similarities get the penalty (grey: how many negatives have them). Middle: share of the penalty on the
    nearest 1 % of the negatives, and on how many it effectively lies. Right: the gradient of the positive."""
    import altair as alt

    panels = (_penalty(negatives), _focus(negatives), _gradient(negatives))
    made = alt.hconcat(*panels, bounds="flush", spacing=55).resolve_scale(color="shared")
    return styled(made.properties(title=f"Temperature of the contrastive loss; negatives: {title}"))


def _penalty(negatives: np.ndarray) -> alt.LayerChart:
    import altair as alt

    edges = np.linspace(negatives.min(), negatives.max() + 1e-9, BINS + 1)
    place = np.clip(np.digitize(negatives, edges) - 1, 0, BINS - 1).ravel()
    centres = (edges[:-1] + edges[1:]) / 2

    def shares(weights: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.bincount(place, weights=weights.ravel(), minlength=BINS) / len(negatives)
        return found

    there = shares(np.full(negatives.shape, 1 / negatives.shape[1]))
    x: Any = alt.X(
        "similarity:Q",
        title="similarity of a negative",
        scale=alt.Scale(zero=False),
        axis=alt.Axis(tickCount=5, format="~g"),
    )
    y: Any = alt.Y("share:Q", title=None, axis=alt.Axis(format="%", tickCount=5))
    counted = _rows(similarity=centres, share=there)
    area = alt.Chart(alt.InlineData(counted)).mark_area(interpolate="monotone", opacity=0.25, color="#7a8794")
    lines = [
        row | {"temperature": f"{t:g}"}
        for t in TEMPERATURES
        for row in _rows(similarity=centres, share=shares(relative_penalty(negatives, t)))
    ]
    line = alt.Chart(alt.InlineData(lines)).mark_line(interpolate="monotone", strokeWidth=2).encode(color=_colour())
    layers: list[Any] = [area.encode(x=x, y=y), line.encode(x=x, y=y)]
    return alt.LayerChart(layer=layers, width=250, height=220, title=f"share of the penalty, in {BINS} steps")


def _focus(negatives: np.ndarray) -> alt.LayerChart:
    import altair as alt

    said = ("penalty on the nearest 1 %", "negatives that it lies on")
    places = ({"t": 1.9, "share": 0.09}, {"t": 1.9, "share": 0.84})
    at = [float(t) for t in np.geomspace(0.02, 2, 41)]
    rows = [{"t": t, "share": share, "of": of} for t in at for of, share in zip(said, focus(negatives, t), strict=True)]
    labels = [{**place, "of": of} for place, of in zip(places, said, strict=True)]
    ticks = alt.Axis(values=[0.02, 0.05, 0.1, 0.2, 0.5, 1, 2], grid=False)
    x: Any = alt.X("t:Q", title="temperature", scale=alt.Scale(type="log", nice=False), axis=ticks)
    y: Any = alt.Y("share:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=5))
    line = alt.Chart(alt.InlineData(rows)).mark_line(color="#57606a", strokeWidth=2)
    text = alt.Chart(alt.InlineData(labels)).mark_text(align="right", color="#57606a")
    layers: list[Any] = [
        line.encode(x=x, y=y, strokeDash=alt.StrokeDash("of:N", legend=None, sort=None)),
        text.encode(x=x, y=y, text="of:N"),
    ]
    return alt.LayerChart(layer=layers, width=250, height=220, title="how narrowly it looks")


def focus(negatives: np.ndarray, temperature: float) -> tuple[float, float]:
    """(share of the penalty on the nearest 1 % of the negatives, exp(entropy of r) / k), means over anchors, each in [0, 1]."""
    r = relative_penalty(negatives, temperature)
    count = max(1, round(HARDEST * r.shape[1]))
    hardest = np.sort(r, axis=1)[:, -count:].sum(axis=1).mean()
    entropy = -(r * np.log(np.maximum(r, 1e-300))).sum(axis=1)
    return float(hardest), float(np.exp(entropy).mean() / r.shape[1])


def _gradient(negatives: np.ndarray) -> alt.LayerChart:
    import altair as alt

    at = np.linspace(-0.2, 1, 61)
    lines = [
        row | {"temperature": f"{t:g}"}
        for t in TEMPERATURES
        for row in _rows(similarity=at, pull=pull(at, negatives, t).mean(axis=0))
    ]
    x: Any = alt.X("similarity:Q", title="similarity of the positive", axis=alt.Axis(tickCount=6))
    y: Any = alt.Y(
        "pull:Q",
        title=None,
        scale=alt.Scale(type="symlog"),
        axis=alt.Axis(values=[0, 0.5, 1, 2, 5, 10, 15], format="~g"),
    )
    line = alt.Chart(alt.InlineData(lines)).mark_line(strokeWidth=2).encode(x=x, y=y, color=_colour())
    return alt.LayerChart(layer=[line], width=250, height=220, title="pull on the positive")


def _colour() -> Any:
    import altair as alt

    names = [f"{t:g}" for t in TEMPERATURES]
    legend = alt.Legend(title="temperature", orient="right")
    return alt.Color("temperature:N", scale=alt.Scale(domain=names, range=PALETTE[: len(names)]), legend=legend)


def _rows(**columns: np.ndarray) -> list[dict[str, Any]]:
    return [dict(zip(columns, map(float, values), strict=True)) for values in zip(*columns.values(), strict=True)]
