"""What borzoi-pytorch says of Borzoi and Flashzoi: the judge of our port.

Run by an interpreter that has borzoi-pytorch 0.5; reads a request and weights that our side wrote, and writes
the outputs:

    python tests/verify/borzoi_oracle.py <request.json> <weights.safetensors> <outputs.npz>

The request holds the sizes of the network, the length and seed of the input, the number of centre bins,
and which bins and tracks of these are wanted. All is computed in float64. The package needs flash-attn and a
GPU for Flashzoi; here its attention is put together from transformers' rotary embedding and shared heads.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np

COUNTERS = "num_batches_tracked"


def input_codes(seed: int, length: int) -> np.ndarray:
    """(1, length) uint8 codes, a fifth of them N."""
    return np.random.default_rng(seed).integers(0, 5, (1, length)).astype(np.uint8)


def build(sizes: dict, bins: int):
    """The package's model of these sizes; it fixes the channels of convolutions, so these are replaced."""
    if sizes["rotary"]:
        install_attention(sizes["rotary"])
    from borzoi_pytorch.config_borzoi import BorzoiConfig
    from borzoi_pytorch.pytorch_borzoi_model import Borzoi, ConvBlock
    from torch import nn

    config = BorzoiConfig(
        dim=sizes["dim"],
        depth=sizes["layers"],
        heads=sizes["heads"],
        attn_dim_key=sizes["key"],
        attn_dim_value=sizes["value"],
        bins_to_return=bins,
        flashed=bool(sizes["rotary"]),
    )
    model = Borzoi(config)
    channels = [sizes["stem"], *sizes["tower"]]
    model.conv_dna.conv_layer = nn.Conv1d(4, channels[0], 15, padding="same")
    for layer in range(5):
        model.res_tower[2 * layer] = ConvBlock(channels[layer], channels[layer + 1], 5)
    model.unet1[1] = ConvBlock(channels[-1], sizes["dim"], 5)
    model.horizontal_conv0 = ConvBlock(channels[-1], sizes["dim"], 1)
    model.final_joined_convs[0] = ConvBlock(sizes["dim"], sizes["final"], 1)
    model.human_head = nn.Conv1d(sizes["final"], sizes["tracks"], 1)
    return model.eval()


def install_attention(rotary: int) -> None:
    """Offer ``flash_attn.modules.mha.MHA``, with the names and the layout of flash-attn's."""
    import torch
    from torch import nn
    from transformers.models.gpt_neox.modeling_gpt_neox import apply_rotary_pos_emb
    from transformers.models.llama.modeling_llama import repeat_kv

    class MHA(nn.Module):
        def __init__(self, embed_dim, num_heads, num_heads_kv, softmax_scale, rotary_emb_base, **_) -> None:
            super().__init__()
            self.heads, self.shared, self.size = num_heads, num_heads_kv, embed_dim // num_heads
            self.scale, self.base = softmax_scale, rotary_emb_base
            self.Wqkv = nn.Linear(embed_dim, self.size * (num_heads + 2 * num_heads_kv))
            self.out_proj = nn.Linear(embed_dim, embed_dim)

        def forward(self, x):
            heads = self.Wqkv(x).unflatten(2, (self.heads + 2 * self.shared, self.size)).transpose(1, 2)
            q, k, v = heads.split([self.heads, self.shared, self.shared], dim=1)
            speed = self.base ** -(torch.arange(0, rotary, 2).double() / rotary)
            angle = torch.arange(x.shape[1]).double()[:, None] * speed
            angle = torch.cat([angle, angle], dim=1)[None]
            q, k = apply_rotary_pos_emb(q, k, angle.cos(), angle.sin())
            k, v = (repeat_kv(t, self.heads // self.shared) for t in (k, v))
            mixed = (q @ k.mT * self.scale).softmax(dim=3) @ v
            return self.out_proj(mixed.transpose(1, 2).flatten(2))

    names = ("flash_attn", "flash_attn.modules", "flash_attn.modules.mha")
    sys.modules.update({name: types.ModuleType(name) for name in names})
    sys.modules[names[-1]].MHA = MHA


def outputs(request: dict, weights: Path) -> np.ndarray:
    """(tracks, bins) float64."""
    import torch
    from borzoi_pytorch.pytorch_borzoi_transformer import Attention, get_positional_embed
    from safetensors.torch import load_file

    model = build(request["sizes"], request["centre_bins"])
    report = model.load_state_dict(load_file(weights), strict=False)
    assert not report.unexpected_keys, report
    assert all(name.endswith(COUNTERS) for name in report.missing_keys), report
    model.double()
    for module in model.modules():
        if isinstance(module, Attention):  # it would make these in float32, which float64 layers do not take
            table = get_positional_embed(request["length"] // 128, 4096, module.num_rel_pos_features, "cpu")
            module.positions = table.double()
    codes = input_codes(request["seed"], request["length"])
    with torch.inference_mode():
        x = torch.from_numpy(np.eye(5, 4)[codes]).transpose(1, 2)
        x = model.final_joined_convs(model.get_embs_after_crop(x))
        y = model.final_softplus(model.human_head(x))[0]
    return y[request["tracks"]][:, request["bins"]].numpy()


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text())
    np.savez(sys.argv[3], outputs=outputs(asked, Path(sys.argv[2])))
