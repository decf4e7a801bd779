"""The engine on a GPU: time, operations, memory and exactness of each arithmetic, and whether batches matter.

    python -m benchmarks.gpu_engine --model enformer --genes 3 --output rows.json

All people of the cohort that comes with hapsight, or of a configuration. The first gene warms up and is not
timed. On a CPU it runs too, with ``--device cpu --width 48``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hapsight.config import ModelConfig, load_config
from hapsight.predict.arithmetic import PRECISIONS, in_arithmetic
from hapsight.predict.engine import GenePrediction, Sequences, predict_genes
from hapsight.predict.precision import FLOAT32_ROUNDING, compare, predicted_in
from hapsight.workflow.demo import demo_cohort
from hapsight.workflow.opened import Opened
from hapsight.workflow.predict import load_models, spread_genes
from hapsight.workflow.variants import VariantReader


def main() -> None:
    arguments = _arguments()
    loaded = load_config(arguments.config) if arguments.config else demo_cohort()
    options = {} if arguments.width is None else {"width": arguments.width}
    wanted = ModelConfig(name=arguments.model, weights=arguments.weights, options=options)
    predict = loaded.predict.model_copy(update={"device": arguments.device})
    opened = Opened.from_config(loaded.model_copy(update={"models": (wanted,), "predict": predict}))
    (run,) = load_models(opened)
    reader = VariantReader(opened.cohort.genotypes, opened.cohort.reference)
    sequences = Sequences(run.model, run.read_out, reader, opened.cohort.reference.fetch)
    genes = spread_genes(opened.cohort.genes, arguments.genes + 1)
    ceilings = _ceilings(run.device)
    rows = [ceilings]
    print(json.dumps(ceilings), flush=True)
    exact = predicted_in("float32", sequences, genes[1:], batch_size=64, device=run.device)
    for precision in arguments.arithmetic or PRECISIONS:
        in_arithmetic(run.model, run.device, precision)
        predict_genes(sequences, genes[:1], batch_size=64, device=run.device)
        _reset_peak(run.device)
        start = time.perf_counter()
        found = predict_genes(sequences, genes[1:], batch_size=64, device=run.device)
        row = _row(run.model.name, precision, found, time.perf_counter() - start, run.device)
        loss = compare(exact, found, FLOAT32_ROUNDING)
        row |= {"signs_lost": loss.signs_lost, "lowest_r": loss.lowest_r, "largest_error": loss.largest_error}
        again = predict_genes(sequences, genes[1:2], batch_size=5, device=run.device)[0]
        row["other_batches_equal"] = bool(np.array_equal(again.distinct, found[0].distinct))
        twice = predict_genes(sequences, genes[1:2], batch_size=64, device=run.device)[0]
        row["again_equal"] = bool(np.array_equal(twice.distinct, found[0].distinct))
        rows.append(row)
        print(json.dumps(row), flush=True)
        if arguments.output:
            arguments.output.write_text(json.dumps(rows, indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--model", default="enformer")
    parser.add_argument("--weights", default="random:0")
    parser.add_argument("--width", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--genes", type=int, default=3)
    parser.add_argument("--arithmetic", action="append", choices=PRECISIONS)
    parser.add_argument("--output", type=Path)
    return parser.parse_args()


def _row(
    model: str, precision: str, found: list[GenePrediction], seconds: float, device: str
) -> dict[str, Any]:
    distinct = sum(1 + len(one.distinct) for one in found)
    return {
        "model": model,
        "precision": precision,
        "genes": len(found),
        "haplotypes": sum(one.index.size for one in found),
        "distinct": distinct,
        "seconds": round(seconds, 3),
        "ms_per_distinct": round(1e3 * seconds / distinct, 3),
        "tflop": round(sum(one.flop for one in found) / 1e12, 2),
        "tflop_per_s": round(sum(one.flop for one in found) / 1e12 / seconds, 2),
        "peak_gb": round(torch.cuda.max_memory_allocated() / 2**30, 2) if device.startswith("cuda") else None,
    }


def _reset_peak(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()


def _ceilings(device: str) -> dict[str, Any]:
    """TFLOP/s of large matrix products: what the card gives each arithmetic at most."""
    if not device.startswith("cuda"):
        return {"device": device}
    found: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    for name, kind, tf32 in (
        ("float32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("float16", torch.float16, False),
        ("bfloat16", torch.bfloat16, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        found[name] = round(_matmul_tflop_per_s(kind), 1)
    torch.backends.cuda.matmul.allow_tf32 = False
    return found


def _matmul_tflop_per_s(kind: torch.dtype, n: int = 8192) -> float:
    a, b = (torch.randn(n, n, device="cuda", dtype=kind) for _ in range(2))
    times = []
    for _ in range(6):
        torch.cuda.synchronize()
        start = time.perf_counter()
        a @ b
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 2 * n**3 / float(np.median(times[2:])) / 1e12


if __name__ == "__main__":
    main()
