"""What enformer-pytorch says of Enformer: the judge of our port.

Run by an interpreter that has it (tests/verify/enformer_venv.sh makes it):

    python tests/verify/enformer_oracle.py <weights.pt> <gamma> <dtype> <answers.json> [<pytorch_model.bin>]

Reads a state dict of any width, takes its own gamma features (``port``) or the table of the official ones
(``official``, widths of whole 192s only), and writes a few outputs for codes from a seed; also, if asked,
the weights as that package publishes them.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

LENGTH = 196_608
CODES_SEED = 7
BINS = (0, 1, 443, 447, 448, 452, 894, 895)
TRACKS = (0, 4980, 5110, 5312)
DISTANCES = (-1535, -700, -33, 0, 1, 8, 64, 300, 1000, 1535)


def random_codes(seed: int) -> np.ndarray:
    """(196608,) uint8 codes; a twentieth is N, also at both ends."""
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random(LENGTH) < 0.05, 4, rng.integers(0, 4, LENGTH)).astype(np.uint8)
    codes[:3] = codes[-2:] = 4
    return codes


def build(state: dict[str, object], gamma: str):
    """The judge's model with our weights; its head for the mouse keeps what it was born with."""
    from enformer_pytorch import Enformer

    width, heads = (
        state["final_pointwise.1.0.weight"].numel(),
        state["transformer.0.0.fn.1.rel_pos_bias"].shape[1],
    )
    model = Enformer.from_hparams(
        dim=width,
        heads=heads,
        attn_dim_key=state["transformer.0.0.fn.1.rel_pos_bias"].shape[3],
        dim_divisible_by=width // 12,
        use_tf_gamma=gamma == "official",
    )
    lacking, foreign = model.load_state_dict(state, strict=False)
    lacking = [name for name in lacking if not name.startswith(("_trunk.", "_heads.mouse."))]
    if lacking or foreign:
        raise SystemExit(f"not the judge's names: missing {lacking}, foreign {foreign}")
    return model.eval()


def main(weights: Path, gamma: str, dtype: str, answers: Path, published: Path | None) -> None:
    """Write the answers, and the weights in the published layout if asked."""
    import torch
    from enformer_pytorch.modeling_enformer import TF_GAMMAS

    torch.set_num_threads(2)
    state = torch.load(weights, weights_only=True)
    torch.set_default_dtype(getattr(torch, dtype))  # its features of positions follow the default
    model = build(state, gamma)
    if published is not None:
        torch.save({name: tensor.float() for name, tensor in model.state_dict().items()}, published)
    one_hot = torch.from_numpy(np.eye(5, 4)[random_codes(CODES_SEED)][None]).to(getattr(torch, dtype))
    with torch.no_grad():
        y = model(one_hot, head="human")[0, :, list(TRACKS)]  # (896, T)
    record = {
        "made_by": f"enformer-pytorch {version('enformer-pytorch')}, torch {torch.__version__}",
        "codes_seed": CODES_SEED,
        "bins": BINS,
        "tracks": TRACKS,
        "outputs": y[list(BINS)].tolist(),
        "distances": DISTANCES,
        "gamma_table": TF_GAMMAS[[1535 + distance for distance in DISTANCES]].tolist(),
    }
    answers.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main(
        Path(sys.argv[1]), *sys.argv[2:4], Path(sys.argv[4]), Path(sys.argv[5]) if len(sys.argv) > 5 else None
    )
