"""The generator gives the values that the reference prints."""

import numpy as np
from conformance.golden_features import golden_features


def test_first_rows_and_sums_are_the_reference_s() -> None:
    golden = golden_features()
    np.testing.assert_allclose(golden.train_x[0, :4], [0.767987, 4.259221, 2.877580, 2.415996], atol=1e-6)
    np.testing.assert_allclose(golden.test_x[0, :4], [3.494156, -2.213002, -0.326893, 5.643694], atol=1e-6)
    assert abs(golden.train_x.astype(np.float64).sum() - 545.798381) < 1e-3
    assert abs(golden.test_x.astype(np.float64).sum() - 242.414044) < 1e-3
    assert golden.train_y[:12].tolist() == [*range(10), 0, 1]
