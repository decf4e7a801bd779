from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from hapsight.errors import ConfigError, StoreError, TrainingError
from hapsight.train.loop import FitResult, TrainArguments, fit, learning_rate, own_device
from tests.train.toy_training import Line, arguments

ROOT = Path(__file__).resolve().parents[2]


def start(
    folder: Path, kill_at: str = "", accumulate: int = 2, **environment: str
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.train.toy_training", str(folder), kill_at]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", **environment})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = load_file(folder / "checkpoint.safetensors")
    return {name: tensor for name, tensor in found.items() if name.startswith("model.")}


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_time(found: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in line.items() if key != "seconds"} for line in found]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FitResult]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, fit(Line(), arguments(), folder)


class TestFit:
    def test_learns(self, whole: tuple[Path, FitResult]) -> None:
        folder, result = whole
        assert (result.steps, result.stopped) == (30, "max_steps")
        validations = [line for line in lines(folder) if "score" in line]
        assert [line["step"] for line in validations] == [0, 5, 10, 15, 20, 25, 30]
        assert validations[-1]["score"] > validations[0]["score"]
        best = max(validations, key=lambda line: line["score"])
        assert (result.best_step, result.best_score) == (best["step"], best["score"])

    def test_one_line_a_step(self, whole: tuple[Path, FitResult]) -> None:
        steps = [line for line in lines(whole[0]) if "loss" in line]
        assert [line["step"] for line in steps] == list(range(1, 31))
        assert [line["learning_rate"] for line in steps] == [learning_rate(arguments(), s) for s in range(30)]

    def test_best_holds_the_weights_of_its_validation(self, whole: tuple[Path, FitResult]) -> None:
        task = Line()
        task.model.load_state_dict(load_file(whole[1].best))
        assert task.validate()["score"] == whole[1].best_score

    def test_equals_the_plain_loop(self, tmp_path: Path) -> None:
        ours, theirs, given_ = Line(dropout=0.0), Line(dropout=0.0), arguments(weight_decay=0.0)
        fit(ours, given_, tmp_path)
        optimiser = torch.optim.AdamW(theirs.model.parameters(), weight_decay=0.0)
        for step in range(30):
            optimiser.param_groups[0]["lr"] = learning_rate(given_, step)
            optimiser.zero_grad()
            (sum(theirs.loss(step, micro, 0, 1) for micro in range(2)) / 2).backward()
            torch.nn.utils.clip_grad_norm_(theirs.model.parameters(), 1.0)
            optimiser.step()
        for a, b in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
            torch.testing.assert_close(a, b)

    def test_frozen_parameters_stay(self, tmp_path: Path) -> None:
        task = Line()
        task.model[0].requires_grad_(False)
        before = task.model[0].weight.clone()
        fit(task, arguments(), tmp_path)
        assert torch.equal(task.model[0].weight, before)
        assert not torch.equal(task.model[3].weight, Line().model[3].weight)

    def test_stops_early(self, tmp_path: Path) -> None:
        class Worse(Line):
            def validate(self) -> dict[str, float]:
                super().validate()
                return {"score": -float(len(self.scores))}

        result = fit(Worse(), arguments(patience=2), tmp_path)
        assert (result.best_step, result.steps, result.stopped) == (0, 10, "patience")
        assert fit(Worse(), arguments(patience=2), tmp_path) == result
        assert [line["step"] for line in lines(tmp_path) if "score" in line] == [0, 5, 10]

    def test_the_callers_random_numbers_are_left_alone(self, tmp_path: Path) -> None:
        task = Line()
        torch.manual_seed(11)
        expected = torch.rand(3)
        torch.manual_seed(11)
        fit(task, arguments(max_steps=2), tmp_path)
        assert torch.equal(torch.rand(3), expected)

    def test_reports(self, tmp_path: Path) -> None:
        told: list[tuple[str, int, int]] = []
        fit(Line(), arguments(max_steps=3), tmp_path, progress=lambda *one: told.append(one))
        assert told == [("train", 1, 3), ("train", 2, 3), ("train", 3, 3)]


class TestResume:
    @pytest.mark.parametrize("kill_at", ["2", "23"])
    def test_a_killed_run_ends_like_an_uninterrupted_one(
        self, whole: tuple[Path, FitResult], tmp_path: Path, kill_at: str
    ) -> None:
        assert start(tmp_path, kill_at).wait() == -signal.SIGKILL
        assert len(lines(tmp_path)) < len(lines(whole[0]))
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write('{"step": 99, "lo')  # as if cut off while it was written
        result = fit(Line(), arguments(), tmp_path)
        assert weights(tmp_path).keys() == weights(whole[0]).keys()
        for name, tensor in weights(whole[0]).items():
            assert torch.equal(weights(tmp_path)[name], tensor), name
        assert without_time(lines(tmp_path)) == without_time(lines(whole[0]))
        assert (result.best_step, result.best_score) == (whole[1].best_step, whole[1].best_score)

    def test_a_finished_run_is_not_run_again(self, whole: tuple[Path, FitResult]) -> None:
        before = (whole[0] / "metrics.jsonl").read_bytes()
        task = Line()
        assert fit(task, arguments(), whole[0]) == whole[1]
        assert (whole[0] / "metrics.jsonl").read_bytes() == before
        assert torch.equal(task.model[0].weight, weights(whole[0])["model.0.weight"])

    def test_anew(self, tmp_path: Path) -> None:
        fit(Line(), arguments(), tmp_path)
        assert fit(Line(), arguments(max_steps=3), tmp_path, resume=False).steps == 3
        assert [line["step"] for line in lines(tmp_path)] == [0, 1, 2, 3, 3]

    def test_other_arguments(self, whole: tuple[Path, FitResult]) -> None:
        with pytest.raises(StoreError, match="other arguments") as caught:
            fit(Line(), arguments(learning_rate=0.5, seed=9), whole[0])
        assert caught.value.details["expected"] == "learning_rate = 0.02, seed = 1"
        assert caught.value.details["got"] == "learning_rate = 0.5, seed = 9"
        assert "resume = false" in caught.value.details["to mend"]

    def test_another_model(self, whole: tuple[Path, FitResult]) -> None:
        task = Line()
        task.model = torch.nn.Sequential(torch.nn.Linear(5, 1))
        with pytest.raises(StoreError, match="of another model"):
            fit(task, arguments(), whole[0])

    def test_a_damaged_checkpoint(self, tmp_path: Path) -> None:
        fit(Line(), arguments(max_steps=2), tmp_path)
        (tmp_path / "checkpoint.safetensors").write_bytes(b"\x01")
        with pytest.raises(StoreError, match="cannot be read"):
            fit(Line(), arguments(max_steps=2), tmp_path)


class TestNotFinite:
    def test_loss(self, tmp_path: Path) -> None:
        class Breaks(Line):
            def loss(self, step: int, micro: int, rank: int, world: int) -> torch.Tensor:
                return super().loss(step, micro, rank, world) * (math.nan if step == 6 else 1.0)

        with pytest.raises(TrainingError, match="not a finite number") as caught:
            fit(Breaks(), arguments(), tmp_path)
        assert caught.value.details["where"] == f"{tmp_path}, step 7"
        assert "loss nan" in caught.value.details["got"]
        assert "lower learning_rate (now 0.02)" in caught.value.details["to mend"]
        assert [line["step"] for line in lines(tmp_path) if "loss" in line][-1] == 6

    def test_score(self, tmp_path: Path) -> None:
        class Lost(Line):
            def validate(self) -> dict[str, float]:
                return {"score": math.nan}

        with pytest.raises(TrainingError, match="no score that is a finite number") as caught:
            fit(Lost(), arguments(), tmp_path)
        assert caught.value.details["where"].endswith("step 0")

    def test_nothing_to_train(self, tmp_path: Path) -> None:
        task = Line()
        task.model.requires_grad_(False)
        with pytest.raises(TrainingError, match="nothing to train"):
            fit(task, arguments(), tmp_path)


class TestProcesses:
    def test_two_processes_are_like_twice_the_accumulation(self, tmp_path: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        both = [
            start(tmp_path / "two", RANK=str(rank), GLOO_SOCKET_IFNAME="lo", **shared) for rank in range(2)
        ]
        assert [process.wait(timeout=60) for process in both] == [0, 0]
        fit(Line(), arguments(accumulate=4), tmp_path / "one")
        for name, tensor in weights(tmp_path / "one").items():
            torch.testing.assert_close(weights(tmp_path / "two")[name], tensor, rtol=1e-4, atol=1e-6)
        losses = [
            [line["loss"] for line in lines(tmp_path / name) if "loss" in line] for name in ("one", "two")
        ]
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


class TestArguments:
    @settings(max_examples=30, deadline=None)
    @given(warmup=st.integers(0, 20), steps=st.integers(1, 50))
    def test_learning_rate(self, warmup: int, steps: int) -> None:
        given_ = arguments(warmup_steps=warmup, max_steps=steps)
        rates = [learning_rate(given_, step) for step in range(steps)]
        assert all(0 < rate <= 0.02 for rate in rates)
        rising, falling = rates[:warmup], rates[warmup:]
        assert rising == sorted(rising)
        assert falling == sorted(falling, reverse=True)
        if steps > warmup:
            assert falling[0] == 0.02

    @pytest.mark.parametrize(
        ("name", "value"), [("max_steps", 0), ("learning_rate", 0.0), ("clip_norm", math.inf), ("seed", -1)]
    )
    def test_out_of_range(self, name: str, value: float) -> None:
        with pytest.raises(ConfigError, match=f"The '{name}' of training is out of range") as caught:
            arguments(**{name: value})
        assert caught.value.details["got"] == str(value)

    def test_plain_numbers(self) -> None:
        assert TrainArguments(**asdict(arguments())) == arguments()


@pytest.mark.parametrize(
    ("device", "local_rank", "expected"),
    [("cuda", "3", "cuda:3"), ("cuda:1", "3", "cuda:1"), ("cuda", None, "cuda"), ("cpu", "3", "cpu")],
)
def test_processes_on_one_machine_have_a_gpu_each(
    monkeypatch: pytest.MonkeyPatch, device: str, local_rank: str | None, expected: str
) -> None:
    if local_rank is None:
        monkeypatch.delenv("LOCAL_RANK", raising=False)
    else:
        monkeypatch.setenv("LOCAL_RANK", local_rank)
    assert own_device(device) == torch.device(expected)
