"""The light transformer that fills in hidden tokens: MAE's decoder."""

from __future__ import annotations

import torch
from timm.layers.norm import LayerNorm
from timm.models.vision_transformer import Block
from torch import nn

from ssl_bench.errors import SettingsError
from ssl_bench.methods.parts.masking import Mask, take
from ssl_bench.methods.parts.positions import sincos_2d


class MaskDecoder(nn.Module):
    """Tokens of the visible patches -> a vector of ``out`` numbers for every patch (He et al. 2022, section 3).

    Linear(dim, width); one learned mask token in place of each hidden patch; fixed sine-cosine positions; ``depth``
    blocks; LayerNorm; Linear(width, out). ``prefix``: tokens before the patches (class token); they take part and are
    dropped at the end. Linear layers start Xavier-uniform with zero bias.
    """

    positions: torch.Tensor

    def __init__(
        self, dim: int, width: int, depth: int, heads: int, grid: tuple[int, int], prefix: int, out: int
    ) -> None:
        super().__init__()
        if width % heads:
            raise SettingsError(f"A decoder of width {width} cannot have {heads} heads.", "Choose a divisor.")
        self.prefix = prefix
        self.embed = nn.Linear(dim, width)
        self.mask_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads, qkv_bias=True) for _ in range(depth)))
        self.norm = LayerNorm(width)
        self.predict = nn.Linear(width, out)
        self.register_buffer("positions", sincos_2d(width, *grid, prefix)[None], persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, encoded: torch.Tensor, mask: Mask) -> torch.Tensor:
        """(B, prefix + K, dim) -> (B, N, out), in the image's order."""
        tokens = self.embed(encoded)
        prefix, visible = tokens[:, : self.prefix], tokens[:, self.prefix :]
        batch, n = mask.restore.shape
        blanks = self.mask_token.to(tokens.dtype).expand(batch, n - visible.shape[1], -1)
        patches = take(torch.cat([visible, blanks], dim=1), mask.restore)
        tokens = torch.cat([prefix, patches], dim=1) + self.positions
        predicted: torch.Tensor = self.predict(self.norm(self.blocks(tokens))[:, self.prefix :])
        return predicted
