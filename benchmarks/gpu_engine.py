"""The engine on a GPU: time, operations, memory and exactness of each arithmetic, and whether batches matter.

    python -m benchmarks.gpu_engine --model enformer --genes 3 --output rows.json

All people of the cohort that comes with hapsight, or of a configuration. The first gene warms up and is not
timed. On a CPU it runs too, with ``--device cpu --width 48``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.cohort.nouns import Gene
from hapsight.engine.arithmetic import PRECISIONS, _Split, _SplitWeights, in_arithmetic
from hapsight.engine.engine import predict_genes
from hapsight.engine.outputs import GenePrediction
from hapsight.engine.precision import FLOAT32_ROUNDING, compare
from hapsight.engine.views import Sequences
from hapsight.models.enformer_net import attend_by_distance
from hapsight.recipes.demo import demo_cohort
from hapsight.run.blocks import VariantReader
from hapsight.run.config import ModelConfig, load_config
from hapsight.run.opened import Opened
from hapsight.stages.predict import load_models, spread_genes


def main() -> None:
    arguments = _arguments()
    if arguments.smoke:
        sys.exit(smoke())
    loaded = load_config(arguments.config) if arguments.config else demo_cohort()
    options = {} if arguments.width is None else {"width": arguments.width}
    wanted = ModelConfig(name=arguments.model, weights=arguments.weights, options=options)
    predict = loaded.predict.model_copy(update={"device": arguments.device})
    opened = Opened.from_config(loaded.model_copy(update={"models": (wanted,), "predict": predict}))
    (run,) = load_models(opened)
    reader = VariantReader(opened.cohort.genotypes, opened.cohort.reference)
    sequences = Sequences(run.model, run.read_out, reader, opened.cohort.reference.fetch)
    genes = spread_genes(opened.cohort.genes, arguments.genes + 1)
    rows: list[dict[str, Any]] = []
    _keep(rows, _ceilings(run.device), arguments.output)
    exact: list[GenePrediction] | None = None
    for precision in arguments.arithmetic or PRECISIONS:
        in_arithmetic(run.model, run.device, precision)
        row, found = _timed(sequences, genes, precision, run.device)
        _keep(rows, row, arguments.output)
        if arguments.quick:
            continue
        _keep(rows, _repeated(sequences, genes[1:2], found[0], precision, run.device), arguments.output)
        if precision == "float32":
            exact = found
            continue
        if exact is None:
            in_arithmetic(run.model, run.device, "float32")
            row, exact = _timed(sequences, genes, "float32", run.device)
            _keep(rows, row, arguments.output)
        loss = asdict(compare(exact, found, FLOAT32_ROUNDING))
        _keep(rows, {"precision": precision, "against": "float32"} | loss, arguments.output)


def _keep(rows: list[dict[str, Any]], row: dict[str, Any], output: Path | None) -> None:
    rows.append(row)
    print(json.dumps(row), flush=True)
    if output:
        output.write_text(json.dumps(rows, indent=1))


def _timed(
    sequences: Sequences, genes: list[Gene], precision: str, device: str
) -> tuple[dict[str, Any], list[GenePrediction]]:
    """All genes but the first, which warms up."""
    predict_genes(sequences, genes[:1], batch_size=64, device=device)
    _reset_peak(device)
    start = time.perf_counter()
    found = predict_genes(sequences, genes[1:], batch_size=64, device=device)
    return _row(sequences.model.name, precision, found, time.perf_counter() - start, device), found


def _repeated(
    sequences: Sequences, gene: list[Gene], found: GenePrediction, precision: str, device: str
) -> dict[str, Any]:
    """Whether a gene's values are the same in other batches, and when it is run again."""
    equal = {
        name: np.array_equal(
            predict_genes(sequences, gene, batch_size=size, device=device)[0].distinct, found.distinct
        )
        for name, size in (("again_equal", 64), ("other_batches_equal", 12))
    }
    return {"precision": precision} | equal


def smoke() -> int:
    """Each kernel against float64 on the GPU, at sizes of Enformer; 1 if one is less exact than float32."""
    torch.manual_seed(0)
    failed = 0
    with torch.inference_mode():
        for name, compute, operands in _operations():
            exact = compute(*(x[:1].double() if len(x) == _BATCH else x.double() for x in operands))
            plain = compute(*operands)
            with _Split(_SplitWeights()):
                made = compute(*operands)
                alone = compute(*(x[:1] if len(x) == _BATCH else x for x in operands))
            error, usual = (float((y[:1].double() - exact).norm() / exact.norm()) for y in (made, plain))
            row = {"error": error, "float32": usual, "alone_equal": torch.equal(made[:1], alone)}
            good = error < max(2 * usual, 5e-7) and row["alone_equal"]
            failed |= not good
            print(json.dumps({"smoke": name, "good": good} | row), flush=True)
    return failed


_BATCH = 3


def _operations() -> Iterator[tuple[str, Callable[..., torch.Tensor], list[torch.Tensor]]]:
    """Name, function and operands, the batch first of those that have one."""

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device="cuda")

    x = some(_BATCH, 1536, 1536) * torch.exp(some(1, 1, 1536))
    yield "linear", F.linear, [x, some(3072, 1536), some(3072)]
    yield "linear, few columns", F.linear, [x, some(100, 1536), some(100)]
    for taps, dilation in ((1, 1), (5, 1), (3, 4)):
        convolve = partial(F.conv1d, padding=dilation * (taps // 2), dilation=dilation)
        yield f"convolution of {taps}", convolve, [some(_BATCH, 896, 2000), some(1000, 896, taps), some(1000)]
    yield "convolution, odd channels", F.conv1d, [some(_BATCH, 339, 777), some(399, 339, 5), some(399)]
    heads = [some(_BATCH, 1536, 8, size).transpose(1, 2) for size in (64, 64, 64, 192)]
    yield "attention", attend_by_distance, [*heads, 0.3 * some(1, 3071, 8, 64).transpose(1, 2)]
    few = [x[:, :, :10] for x in heads[:2]]
    yield "attention of 10", attend_by_distance, [*few, *heads[2:], some(1, 1545, 8, 64).transpose(1, 2)]


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
    parser.add_argument("--quick", action="store_true", help="times only")
    parser.add_argument("--smoke", action="store_true", help="the GPU's kernels against float64, and no more")
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
