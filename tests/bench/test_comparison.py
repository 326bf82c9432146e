"""Comparison of sides: two ratios, CPU times, families, failures, and the table that shows them."""

from dataclasses import replace

import pytest

from byhand.bench import table
from byhand.bench.benchmarks import BENCHMARKS, Goal
from byhand.bench.comparison import compare, compare_line
from byhand.bench.table import report

TRAINING = BENCHMARKS["lenet5"]


def side(value, precision="float32", cores=2.0, error=1e-6, limit=0.5):
    return {"value": value, "precision": precision, "cores": cores, "error": error, "limit": limit}


def line(benchmark, sides, failed=None, quiet=1.0):
    return compare_line(benchmark, sides, failed or {}, quiet)


def row(benchmark, lines, **more):
    return compare(benchmark, lines) | {"missing": {}, "spinning": 0} | more


SIDES = {
    "byhand": side(8.0, error=None),
    "byhand bf16": side(14.0, "bf16", error=1e-3),
    "PyTorch contiguous, 2 threads": side(4.0, cores=1.0),
    "torch.compile bf16 contiguous, 2 threads": side(20.0, "bf16"),
    "JAX, 2 threads": side(2.0),
}


def test_float32_is_compared_with_float32_and_the_best_with_the_best():
    found = line(TRAINING, SIDES)
    assert found["float32"] == {
        "byhand": "byhand",
        "peer": "PyTorch contiguous, 2 threads",
        "ratio": 2.0,
        "cpu_ratio": 1.0,
    }, "twice as fast, with twice the cores"
    assert found["any_precision"]["byhand"] == "byhand bf16" and found["any_precision"]["ratio"] == pytest.approx(0.7)
    assert found["families"] == {"PyTorch": 2, "PyTorch bf16": 0.4, "JAX": 4}, "byhand's float32 over each"


def test_of_times_less_is_better():
    benchmark = replace(TRAINING, lower_is_better=True)
    found = line(benchmark, SIDES)
    assert found["float32"]["peer"] == "JAX, 2 threads" and found["float32"]["ratio"] == 0.25
    assert found["any_precision"]["byhand"] == "byhand", "its float32 side is the faster one"


def test_a_row_of_several_lines_has_means_and_the_lowest():
    lines = {
        "one": line(TRAINING, {"byhand": side(8.0), "JAX": side(4.0)}),
        "two": line(TRAINING, {"byhand": side(1.0), "JAX": side(2.0)}, {"OpenCV, 2 threads": "it broke"}),
    }
    found = row(TRAINING, lines)
    assert found["float32"] == {
        "ratio": pytest.approx(1),
        "cpu_ratio": pytest.approx(1),
        "lowest": 0.5,
        "lowest_line": "two",
    }
    assert found["values"] == {"byhand": pytest.approx(8**0.5), "JAX": pytest.approx(8**0.5)}
    assert found["goals"] == {"float32": [3, 6]} and found["families"] == {"JAX": pytest.approx(1)}


def test_a_line_without_byhand_has_no_ratio():
    found = line(TRAINING, {"JAX, 2 threads": side(2.0)}, {"byhand": "it broke"})
    assert found["float32"] is None and found["any_precision"] is None and found["families"] == {}


def test_memory_has_no_cpu_ratio():
    found = line(BENCHMARKS["memory"], {"byhand": side(600.0), "JAX, 2 threads": side(900.0)})
    assert found["float32"]["ratio"] == 1.5 and found["float32"]["cpu_ratio"] is None


def test_the_table_of_one_line_shows_every_side_and_both_ratios():
    benchmark = replace(TRAINING, goals={"float32": Goal(3, 6), "PyTorch bf16": Goal(1, 1.3)})
    text = table(
        row(benchmark, {"": line(benchmark, SIDES)}, missing={"OpenVINO, 2 threads": "openvino is not installed"})
    )
    lines = [" ".join(text_line.split()) for text_line in text.splitlines()]
    for expected in (
        "images/s cores limit error",
        "byhand 8.00 2.00 50%",
        "byhand bf16 14.0 2.00 50% 1e-03",
        "OpenVINO, 2 threads: openvino is not installed",
        "byhand / the best peer, float32 2.00x (required 3, target 6)",
        "of CPU times 1.00x",
        "byhand / the best peer, any precision 0.70x",
        "byhand / PyTorch bf16 0.40x (required 1, target 1.3)",
    ):
        assert expected in lines, text


@pytest.mark.parametrize("columns", [60, 80])
def test_tables_fit_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    benchmark = BENCHMARKS["inference"]
    threads = "2 threads"
    sides = {"byhand": side(49.3), "byhand bf16": side(25.1, "bf16"), f"onnxruntime, {threads}": side(39.8)}
    sides |= {f"OpenVINO, {threads}": side(39.4), f"OpenVINO default, {threads}": side(20.2, "default", error=5e-3)}
    wrong = {f"OpenCV, {threads}": "it computed -3.967e-05, byhand 0.1715: not the same computation"}
    lines = {name: line(benchmark, sides, wrong if name == "resnet50" else {f"OpenCV, {threads}": "error"}, 0.62)
             for name in benchmark.lines}  # fmt: skip
    text = table(row(benchmark, lines))
    assert max(map(len, text.splitlines())) <= columns, text
    words = " ".join(text.split())
    assert "wrong" in words and "failed" in words and "busy" in words and "5e-03" in words
    assert (
        "OpenCV, 2 threads, resnet50: it computed -3.967e-05" in words and "OpenCV, 2 threads, vgg19, alexnet," in words
    )
    assert "the machine was busy: a spin loop got 62% of its cores; compare CPU times" in words


def test_a_table_of_memory_has_no_times():
    benchmark = BENCHMARKS["predict-memory"]
    lines = {name: line(benchmark, {"byhand": side(208.0), "onnxruntime, 2 threads": side(104.0)}, quiet=0.5)
             for name in benchmark.lines}  # fmt: skip
    for text in (
        table(row(benchmark, lines)),
        table(row(BENCHMARKS["memory"], {"": line(BENCHMARKS["memory"], {"byhand": side(600.0)}, quiet=0.5)})),
    ):
        assert "MB" in text and "busy" not in text and "cores" not in text and "CPU" not in text
    assert "(required 0.77, target 1)" in table(row(benchmark, lines))


def test_a_row_beside_spinning_processes_is_not_called_busy():
    text = table(row(TRAINING, {"": line(TRAINING, SIDES, quiet=0.5)}, spinning=2))
    assert "2 spinning processes beside" in text and "the machine was busy" not in text


def test_the_report_names_the_limits():
    found = {
        "machine": "a CPU",
        "threads": 2,
        "limits": {"float32": 231.4},
        "rows": [row(TRAINING, {"": line(TRAINING, SIDES)})],
    }
    assert report(found).splitlines()[:2] == ["a CPU", "limit of 2 threads, measured: float32 231 GFLOP/s"]
