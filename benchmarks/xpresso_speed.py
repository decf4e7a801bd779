"""Xpresso: sequences per second, plain convolutions against the table form, in turn; random weights.

python benchmarks/xpresso_speed.py [--sequences 512] [--batch 64] [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch

from hapsight.models.forward import one_hot
from hapsight.models.xpresso import Xpresso, XpressoNet


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sequences", type=int, default=512)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    network = XpressoNet()
    model = Xpresso("xpresso/random", network, cell_type="none")
    codes = np.random.default_rng(0).integers(0, 4, (options.sequences, model.window.length), dtype=np.uint8)
    batches = torch.from_numpy(codes).split(options.batch)
    half_life = torch.zeros(1, 6)

    def run(step: Callable[[torch.Tensor], torch.Tensor]) -> tuple[float, torch.Tensor]:
        start = time.perf_counter()
        with torch.inference_mode():
            values = torch.cat([step(batch).reshape(-1) for batch in batches])
        return time.perf_counter() - start, values

    def plain(batch: torch.Tensor) -> torch.Tensor:
        return network(one_hot(batch), half_life.expand(len(batch), -1))

    def tables(batch: torch.Tensor) -> torch.Tensor:
        return model.predict(batch, model.read_out())

    times: dict[str, list[float]] = {"plain": [], "tables": []}
    difference = 0.0
    for _ in range(options.repeats + 1):
        seconds, expected = run(plain)
        times["plain"].append(seconds)
        seconds, found = run(tables)
        times["tables"].append(seconds)
        difference = max(difference, float((expected - found).abs().max()))
    medians = {name: float(np.median(values[1:])) for name, values in times.items()}
    result = {f"{name}_sequences_per_s": round(options.sequences / s, 1) for name, s in medians.items()}
    result |= {"ratio": round(medians["plain"] / medians["tables"], 1), "largest_difference": difference}
    print(json.dumps(result | {"threads": torch.get_num_threads()}, indent=1))


if __name__ == "__main__":
    main()
