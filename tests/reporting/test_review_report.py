"""The report of a pull request, in words."""

from __future__ import annotations

from pathlib import Path

from results_factory import make_record

from ssl_bench.reporting.review_report import MOST, markdown
from ssl_bench.results.changes import changes
from ssl_bench.results.review import Problem, Review

GOLDEN = """\
## Review of results: 1 problem to solve

3 records of 2 models read; 1 new, 1 changed, 1 removed.

### Problems

- `mine/knn_digits/x.json`
  - it is partial: not all images were used

### New

| model | task | metric | was | is | difference | published |
| --- | --- | --- | ---: | ---: | ---: | --- |
| mine | knn_digits | top1 |  | 90.0 ±2.0 |  |  |

### Changed

| model | task | metric | was | is | difference | published |
| --- | --- | --- | ---: | ---: | ---: | --- |
| dino_vits16 | knn_imagenet | top1 | 74.5 ±2.8 | 73.0 ±2.8 | −1.5 | paper 74.5, −1.5 (deviates, Caron et al. (ICCV 2021), Table 2) |

### Removed

| model | task | metric | was | is | difference | published |
| --- | --- | --- | ---: | ---: | ---: | --- |
| gone | knn_digits | top1 | 50.0 ±3.1 |  |  |  |

### Notes

- `mine/knn_digits/x.json`
  - its hyper-parameters were chosen on the test set

± 95 % interval (wilson); ✗ deviates from the published number by more than that
"""


def test_the_report_in_words() -> None:
    before = [make_record(task="knn_imagenet", top1=74.5), make_record("gone", top1=50.0)]
    after = [before[0], make_record(task="knn_imagenet", top1=73.0, minute=5), make_record("mine", top1=90.0)]
    problems = [
        Problem("note", "mine/knn_digits/x.json", "its hyper-parameters were chosen on the test set"),
        Problem("error", "mine/knn_digits/x.json", "it is partial: not all images were used"),
    ]
    assert markdown(Review(Path("results"), after, problems), changes(after, before)) == GOLDEN


def test_nothing_to_say() -> None:
    record = make_record()
    assert markdown(Review(Path("results"), [record]), []) == (
        "## Review of results: no problem found\n\n1 record of 1 model read; 0 new, 0 changed, 0 removed.\n"
    )


def test_a_strangers_words_are_no_markup() -> None:
    record = make_record("a|b<script>`x`\n# c")
    text = markdown(Review(Path("."), [record], [Problem("error", "a`b", "<img src=x>|")]), changes([record], []))
    assert "| a\\|b&lt;script>'x' # c | knn_digits |" in text
    assert "<script" not in text
    assert "  - &lt;img src=x>\\|" in text


def test_a_long_report_is_cut() -> None:
    records = [make_record(f"model{i}") for i in range(MOST + 3)]
    text = markdown(Review(Path("."), records), changes(records, []))
    assert text.count("| knn_digits |") == MOST
    assert "| and 3 more |" in text
