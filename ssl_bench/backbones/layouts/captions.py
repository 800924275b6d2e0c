"""VirTex: a visual backbone trained by captions."""

from __future__ import annotations

from ssl_bench.backbones.layouts.layout import Layout

LAYOUTS = {
    # The backbone file is flat; the full models hold the transformers that write (or tag) the captions.
    "virtex": Layout(
        unwrap=("model",),
        drop=(r"^(module\.)?(textual|backward_textual)\.",),
        prefixes=("module.visual.cnn.", "visual.cnn."),
    ),
}
