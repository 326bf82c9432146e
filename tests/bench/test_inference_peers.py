"""Peers of inference compute byhand's numbers, each in its precision."""

from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest

from byhand import models
from byhand.bench import networks
from byhand.bench.byhand_peer import Peer as Byhand
from byhand.bench.check import BF16_TOLERANCE
from byhand.bench.inference import session
from byhand.bench.peers import INFERENCE, PEERS, PeerSpec
from byhand.kernels.runtime.cpu import vector_unit
from tests.oracle import needs_torch


def peer_of(name):
    spec = INFERENCE[name]
    for package in spec.needs:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed (extra bench)")
    return import_module(spec.module).Peer(**spec.settings)


@pytest.mark.parametrize("name", INFERENCE, ids=[name.partition(",")[0] for name in INFERENCE])
def test_a_peer_computes_byhands_logits(name):
    peer, model = peer_of(name), models.create("tiny")
    images = np.random.default_rng(0).standard_normal((2, *model.input_shape), np.float32)
    ours, theirs = (side.predictor(model, images)() for side in (Byhand("arrays"), peer))
    tolerance = 1e-4 if INFERENCE[name].precision == "float32" else BF16_TOLERANCE
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(ours).max()


def test_a_session_checks_the_first_and_the_last_image_and_counts_flops():
    running = session("tiny", 3, 1e-3, Byhand("arrays"))
    check = next(running)
    assert len(check.numbers) == 2 and check.flops == models.create("tiny").summary().flops
    assert check.numbers[0] != check.numbers[1]
    assert running.send(0.001) > 0


@needs_torch
def test_autocast_trains_in_bfloat16():
    torch_peer = pytest.importorskip("byhand.bench.torch_peer")
    images = np.random.default_rng(1).integers(0, 256, (4, 28, 28, 1), np.uint8)
    labels = np.array([3, 1, 4, 1])
    float32, bf16 = (
        [float(network.step(images, labels)) for _ in range(3)]
        for network in (
            torch_peer.Peer(precision=precision).network(networks.lenet5(), 0.01, 0.9)
            for precision in ("float32", "bf16")
        )
    )
    assert bf16 != float32 and bf16 == pytest.approx(float32, rel=BF16_TOLERANCE)


def test_without_bfloat16_products_such_sides_are_left_out(monkeypatch):
    scalar = replace(vector_unit(), bfloat16=False)
    monkeypatch.setattr("byhand.bench.peers.vector_unit", lambda: scalar)
    assert PeerSpec("x", {"precision": "bf16"}).missing() == "this CPU has no bfloat16 products"
    assert PeerSpec("x", {"precision": "default"}).missing() is None, "it falls back to float32"


def test_every_peer_uses_as_many_threads_as_it_says():
    for name, spec in PEERS.items():
        if "threads" in spec.settings:
            assert f"{spec.settings['threads']} thread" in name
            assert spec.environment["OMP_NUM_THREADS"] == spec.environment["BYHAND_THREADS"]
