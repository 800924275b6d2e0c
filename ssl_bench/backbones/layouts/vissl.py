"""VISSL's model zoo: ResNet-50 of rotation, jigsaw, NPID, colourisation, SimCLR and others (facebookresearch/vissl)."""

from __future__ import annotations

from ssl_bench.backbones.layouts.layout import Layout

LAYOUTS = {
    # A training run keeps its heads beside the trunk; files that VISSL converted from elsewhere hold the trunk only.
    "vissl": Layout(
        unwrap=("classy_state_dict.base_model.model.trunk", "model_state_dict", "state_dict"),
        prefixes=("trunk._feature_blocks.", "_feature_blocks.", "module."),
    ),
}
