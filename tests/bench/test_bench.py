"""Benchmarks: each peer runs in its own process, computes the same numbers, and fails alone."""

import json
import os
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import byhand as bh
from byhand.bench import convolutions, measure, networks, peers, runner, sessions, table
from byhand.bench.article_peer import Peer as Article
from byhand.bench.benchmarks import BENCHMARKS
from byhand.bench.byhand_peer import Peer as Byhand
from byhand.bench.check import PeerError, compare_numbers
from byhand.bench.layer_calls import layer_calls
from byhand.bench.memory import peak, required_packages
from byhand.bench.peers import PEERS, PeerSpec
from tests.cli.run_cli import byhand
from tests.oracle import needs_torch

QUICK = {"rounds": 1, "seconds": 0.02, "hand": "arrays"}
TORCH, TORCH_NHWC = "PyTorch contiguous, 1 thread", "PyTorch channels_last, 1 thread"


def restrict_peers(monkeypatch, name, *names):
    """Let only these peers take part in a benchmark."""
    monkeypatch.setitem(BENCHMARKS, name, replace(BENCHMARKS[name], peers=names, bf16=False))


@pytest.fixture
def measure_faulty_peer(monkeypatch):
    """Return a function that adds a peer that goes wrong, and measures."""
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (root, root / "src"))))

    def run(how, needs=()):
        monkeypatch.setitem(PEERS, how, PeerSpec("tests.bench.faulty_peer", {"hand": "arrays", "how": how}, needs))
        restrict_peers(monkeypatch, "lenet5", how)
        (row,) = measure(["lenet5"], **QUICK)["rows"]
        return row

    return run


def test_byhand_is_measured_alone_where_no_peer_is_installed(monkeypatch):
    monkeypatch.setattr(PeerSpec, "missing", lambda spec: f"{spec.needs[0]} is not installed" if spec.needs else None)
    told = []
    (row,) = measure(["lenet5"], progress=told.append, **QUICK)["rows"]
    assert told[0] == "measuring: LeNet-5, batch 64, training"
    assert told[1].startswith("  byhand: ") and told[1].endswith(" images/s") and len(told) == 2
    assert row["float32"] is None and row["any_precision"] is None and row["families"] == {}
    assert row["values"].keys() == {"byhand"} and row["values"]["byhand"] > 0
    assert row["missing"][TORCH] == "torch is not installed"
    assert row["missing"]["JAX, 1 thread"] == "jax is not installed"
    assert "no peer to compare with" in table(row)


@needs_torch
@pytest.mark.parametrize(
    ("name", "layouts"),
    [("article64", (TORCH,)), ("lenet5", (TORCH_NHWC,)), ("latency", (TORCH, TORCH_NHWC))],
    ids=["article64", "lenet5", "latency"],
)
def test_both_sides_do_the_same_work(name, layouts, monkeypatch):
    """A peer whose numbers are not byhand's is among the failed: that it is not is the test."""
    restrict_peers(monkeypatch, name, *layouts)
    monkeypatch.setattr(runner, "measure_limits", lambda *arguments: {"float32": 100.0})
    result = measure([name], **QUICK | {"hand": "compiled"})
    (row,) = result["rows"]
    line = row["lines"][""]
    assert line["failed"] == {} and line["sides"].keys() == {"byhand", *layouts}
    in_seconds = name == "article64"  # of an epoch: its FLOPs are not counted
    assert result["limits"] == ({} if in_seconds else {"float32": 100.0})
    assert (line["sides"]["byhand"]["limit"] is None) == in_seconds
    values = {layout: line["sides"][layout]["value"] for layout in layouts}
    best = (min if BENCHMARKS[name].lower_is_better else max)(values.values())
    assert values[line["float32"]["peer"]] == best and line["float32"]["byhand"] == "byhand"
    assert (
        row["float32"]["ratio"]
        == line["float32"]["ratio"]
        == pytest.approx(
            best / row["values"]["byhand"] if BENCHMARKS[name].lower_is_better else row["values"]["byhand"] / best
        )
    )
    for layout in layouts:
        assert line["sides"][layout]["cores"] > 0 and 0 < line["sides"][layout]["error"] < 1e-3
    assert 0 < row["quiet"] <= 1 and "cores" in result["machine"]


@needs_torch
@pytest.mark.parametrize("network", [networks.resnet20, lambda: networks.mnist_example(dropout=False)])
def test_residuals_norms_and_strides_are_the_same_in_pytorch(network):
    torch_peer = pytest.importorskip("byhand.bench.torch_peer")
    model, labels = network(), np.array([3, 1, 4, 1])
    images = np.random.default_rng(1).integers(0, 256, (4, *model.input_shape), np.uint8)
    losses = [
        [float(side.step(images, labels)) for _ in range(3)]
        for side in (Byhand("arrays").network(network(), 0.01, 0.9), torch_peer.Peer().network(network(), 0.01, 0.9))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0][0] > losses[0][2]


@needs_torch
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_every_pass_of_a_convolution_is_the_same_in_pytorch(layout):
    torch_peer = pytest.importorskip("byhand.bench.torch_peer")
    for case in (
        convolutions.ConvCase("a", 2, 9, 3, 4, 3),
        convolutions.ConvCase("b", 1, 8, 6, 6, 3, stride=2, groups=6),
        # with 4 channels PyTorch 2.13 writes beyond its memory, on AVX2
        convolutions.ConvCase("c", 2, 8, 8, 16, 1, stride=2),
    ):
        ours, theirs = Byhand("arrays").convolution(case), torch_peer.Peer(layout).convolution(case)
        assert set(case.passes) <= ours.keys() == theirs.keys()
        for name in ours:
            assert np.allclose(ours[name](), np.asarray(theirs[name]()), atol=1e-4), (case, name)


def test_a_convolution_counts_its_flops():
    case = convolutions.ConvCase("a", 2, 8, 4, 6, 3, stride=2)
    assert case.flops == 2 * (2 * 4 * 4 * 6) * (3 * 3 * 4)
    assert str(case) == "a 8x8 4->6 3x3 /2"
    assert len(convolutions.CASES) == 12


def test_a_peer_that_computes_something_else_is_refused(measure_faulty_peer):
    row = measure_faulty_peer("learns faster")
    assert row["values"].keys() == {"byhand"} and row["float32"] is None
    assert row["lines"][""]["failed"]["learns faster"].endswith("not the same computation")


def test_the_check_sees_a_difference_and_a_nan():
    error = compare_numbers([[2.5, 2.2], [1e-9, 5.0]], [[2.501, 2.1999], [0.0, 5.0]], 1e-3)
    assert error == pytest.approx(0.001 / 2.5)
    assert compare_numbers([[0.0]], [[0.0]], 1e-3) == 0
    for numbers in ([[2.3, 2.21]], [[2.3, float("nan")]], [[2.3]], []):
        with pytest.raises(PeerError, match="not the same computation"):
            compare_numbers([[2.3, 2.2]], numbers, 1e-3)


def test_a_peer_that_breaks_is_reported_and_the_others_go_on(measure_faulty_peer):
    row = measure_faulty_peer("raises")
    assert row["lines"][""]["failed"] == {"raises": "RuntimeError: no such wheel"} and row["values"]["byhand"] > 0
    assert "  raises: RuntimeError: no such wheel" in table(row).splitlines()
    row = measure_faulty_peer("dies")
    assert row["lines"][""]["failed"] == {"dies": "its process ended early, with 3: cannot load its library"}


def test_a_peer_that_cannot_take_part_says_why(measure_faulty_peer, monkeypatch):
    assert measure_faulty_peer("fine", needs=("no_such_package",))["missing"] == {
        "fine": "no_such_package is not installed"
    }
    monkeypatch.setattr(peers.shutil, "which", lambda name: None)
    assert PeerSpec("x", {"compiled": True}).missing() == "needs a C++ compiler"


def test_a_failure_of_byhand_is_a_row(monkeypatch):
    monkeypatch.setattr(runner, "byhand", lambda hand: PeerSpec("tests.bench.nowhere", {}))
    restrict_peers(monkeypatch, "lenet5")
    (row,) = measure(["lenet5"], **QUICK)["rows"]
    assert row["values"] == {} and row["float32"] is None and "nowhere" in row["lines"][""]["failed"]["byhand"]
    assert "byhand" in table(row)


def test_a_slow_peer_is_measured_once_and_beside_its_own_precision():
    run, stopped = runner.BenchmarkRun("latency", BENCHMARKS["latency"], None, {}, print), []
    values = {"byhand": 90.0, "onnxruntime, 1 thread": 30.0, TORCH: 45.0, TORCH_NHWC: 70.0}
    bf16 = f"PyTorch bf16 contiguous, {peers.count(peers.CORES)}"
    for name, value in (values | {bf16: 10.0}).items():
        process = run.processes[name] = runner.Process("latency", PEERS.get(name, peers.byhand("arrays")))
        run.turns[name], process.stop = runner.Turns(None, None, [value], [1.0]), lambda name=name: stopped.append(name)
    run._stop_slow_sides()
    assert stopped == [TORCH_NHWC], "the bf16 peer is three times as fast as the best of float32, which goes on"


def test_a_rate_is_a_fraction_of_the_limit():
    training, inference = BENCHMARKS["lenet5"], BENCHMARKS["inference"]
    assert runner._limit_fraction(training, 50.0, 2e9, 200.0) == 0.5, "50 images a second of 2 GFLOP each"
    assert runner._limit_fraction(inference, 20.0, 2e9, 200.0) == 0.5, "20 ms for each"
    assert runner._limit_fraction(BENCHMARKS["convolutions"], 100.0, 1, 200.0) == 0.5
    for benchmark, flops, limit in (
        (training, None, 200.0),
        (training, 2e9, None),
        (BENCHMARKS["article"], 2e9, 200.0),
    ):
        assert runner._limit_fraction(benchmark, 50.0, flops, limit) is None


def test_training_takes_three_passes_but_for_the_gradient_of_the_images():
    model = networks.article()
    forward, first = model.summary().flops, model.summary().rows[0].flops
    assert sessions.training_flops(model) == 3 * forward - first


def test_the_articles_own_program_takes_the_same_steps():
    for hand in ("loops", "arrays"):
        theirs, ours = (next(sessions.articles_steps(side)).numbers for side in (Article(hand), Byhand("arrays")))
        assert theirs[0] == pytest.approx(ours[0], rel=1e-4)


@needs_torch
def test_a_peers_training_goes_as_the_trainers():
    """The same order of images and the same learning rates."""
    torch_peer = pytest.importorskip("byhand.bench.torch_peer")
    train, ends = bh.data.load("mnist")[0].take(70), []
    for peer in (Byhand("arrays"), torch_peer.Peer()):
        side = peer.network(networks.article(), 0.1, 0.9)
        for _ in range(2):  # the second goes on from the first
            side.fit(train, epochs=2, batch=16, schedule=bh.OneCycle())
        ends.append(side.loss_and_accuracy(train))
    assert ends[0] == pytest.approx(ends[1], rel=1e-3)


def test_the_networks_are_those_of_their_papers():
    assert networks.mnist_example().parameter_count == 1_199_882
    assert networks.resnet20().parameter_count == 272_474  # the paper's 0.27 M; shortcuts with weights add 2.5 thousand
    assert networks.resnet18().parameter_count == 11_173_962


def test_layer_calls_transpose_weights_for_channels_first():
    calls = {call.name: call for call in layer_calls(networks.article(), channels_first=True)}
    assert calls["conv1"].values["weight"].shape == (8, 1, 3, 3)
    model = networks.article()
    dense, ours = calls["fc1"].values["weight"], model.parameters["fc1_weight"]
    assert dense.shape == (10, 1352)
    assert dense[3, 5 * 169 + 2 * 13 + 7] == ours[(2 * 13 + 7) * 8 + 5, 3]  # channel 5, row 2, column 7


def test_memory_and_installation_are_measured():
    assert 10 < peak() < 100_000
    assert {"byhand", "numpy", "numba", "llvmlite", "typer"} <= required_packages("byhand")
    assert "pytest" not in required_packages("byhand")


def test_the_command_prints_one_object(tmp_path, monkeypatch):
    words = ("bench", "tutorial", "--quick", "--seconds", 0.02, "--hand", "arrays")
    done = byhand(*words, "--json", folder=tmp_path)
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result.keys() == {"machine", "threads", "limits", "tuning", "rows"}
    (row,) = result["rows"]
    assert row.keys() >= {
        "benchmark",
        "unit",
        "lines",
        "values",
        "float32",
        "any_precision",
        "families",
        "goals",
        "quiet",
    }
    assert row["values"].keys() == {"byhand", "the article's loops", "the article's arrays"}
    assert row["goals"] == {"the article's loops": [600, 1500]}
    assert done.err.startswith("measuring: the article's program, batch 1, training\n  byhand: ")
    text = byhand(*words, folder=tmp_path).out
    assert "(required 600, target 1500)" in text and "byhand / the best peer" in text


def test_the_chosen_lines_alone_are_measured():
    chosen = runner.choose_lines(["lenet5", "inference", "resnet20"], False, ["v3_sm", "shuffle"])
    assert {name: list(benchmark.lines) for name, benchmark in chosen.items()} == {
        "inference": ["shufflenet_v2_x1_0", "mobilenet_v3_small"]
    }
    assert list(runner.choose_lines(list(runner.BENCHMARKS), False, ["lenet5"])) == ["lenet5", "busy"]
    assert (
        "no line of inference contains x9; choose from: resnet50, vgg19"
        in byhand("bench", "inference", "--only", "x9").complaint
    )


def test_invalid_arguments_get_one_line():
    assert "there is no benchmark 'lenet'; did you mean 'lenet5'?" in byhand("bench", "lenet").complaint
    assert "unknown value 'foot' for --hand" in byhand("bench", "--hand", "foot").complaint
    assert "--rounds" in byhand("bench", "--rounds", 0).complaint
    assert (
        byhand("bench", "inference", "--only", "alex", "vgg").complaint
        == "there is no benchmark 'vgg'; to choose its lines too, write --only vgg"
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("onnx-suite", "--busy"), "onnx-suite takes no --busy; leave it out"),
        (("onnx-suite", "--quick"), "onnx-suite takes no --quick; leave it out"),
        (("scaling", "--only", "x"), "scaling takes no --only; leave it out"),
        (("scaling", "--rounds", 2), "scaling takes no --rounds; leave it out"),
        (("scaling", "--record"), "the history holds no scaling"),
        (("inference", "--record", "--only", "vgg"), "the history holds whole benchmarks"),
    ],
)
def test_what_a_table_of_its_own_does_not_take_is_refused(words, says):
    assert says in byhand("bench", *words).complaint


def test_rounds_that_are_given_count_beside_quick(monkeypatch):
    command = import_module("byhand.cli.bench")
    seen = []
    monkeypatch.setattr(command, "measure", lambda names, **settings: seen.append(settings["rounds"]) or {"rows": []})
    for words in ((), ("--quick",), ("--quick", "--rounds", 3)):
        byhand("bench", "lenet5", "--json", *words)
    assert seen == [5, 1, 3]
