"""Prefetching: order, bounded depth, exceptions; batches and stratified splits."""

import threading
import time

import numpy as np
import pytest

from byhand.data import Augment, Dataset
from byhand.data.batch_loader import BatchLoader, BatchSpec
from byhand.data.prefetch import Prefetcher
from byhand.data.stratified_split import stratified_split


def test_results_are_in_order():
    def make(item):
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item * item

    assert list(Prefetcher(make, range(20), threads=4)) == [item * item for item in range(20)]


def test_depth_bounds_what_is_computed_in_advance():
    made, lock = [], threading.Lock()

    def make(item):
        with lock:
            made.append(item)
        return item

    prefetcher = Prefetcher(make, iter(range(100)), threads=2, depth=5)
    assert next(prefetcher) == 0
    time.sleep(0.1)
    assert 5 <= len(made) <= 7
    prefetcher.close()
    assert len(made) <= 7


def test_an_exception_is_raised_in_turn():
    def make(item):
        if item == 3:
            raise ValueError("three")
        return item

    got = []
    with pytest.raises(ValueError, match="three"):
        got.extend(Prefetcher(make, range(10)))
    prefetcher = Prefetcher(make, range(10))
    assert [next(prefetcher) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(prefetcher)


def test_wait_seconds():
    slow = Prefetcher(lambda item: time.sleep(0.05), range(3), threads=1)
    list(slow)
    assert slow.wait_seconds > 0.1
    quick = Prefetcher(lambda item: item, range(3), threads=1)
    for _ in quick:
        time.sleep(0.02)
    assert quick.wait_seconds < 0.05


def test_batches_hold_each_image_with_its_label():
    images = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1).repeat(4, 2)
    data = Dataset(images, np.arange(40) % 4, tuple("abcd"))
    rng = np.random.default_rng(0)
    for augment in (Augment(), Augment(flip=True)):
        rows = [rng.permutation(40)[:7] for _ in range(6)]
        loader = BatchLoader(
            data,
            augment,
            (
                (BatchSpec(batch_rows, rng.random((7, augment.uniforms_per_image))), i)
                for i, batch_rows in enumerate(rows)
            ),
        )
        for number, batch_rows in enumerate(rows):
            batch, more = next(loader)
            shown = batch.images if batch.rows is None else batch.images[batch.rows]
            assert more == number and (shown[:, 0, 0, 0] == batch_rows).all() and (batch.labels == batch_rows % 4).all()
        loader.close()


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_the_fraction_of_each_class(share):
    labels = np.repeat([0, 1, 2], [100, 40, 7])
    stay, aside = stratified_split(labels, share, 3)
    assert sorted([*stay, *aside]) == list(range(147))
    assert np.bincount(labels[aside]).tolist() == [round(share * count) or 1 for count in (100, 40, 7)]
    assert (stratified_split(labels, share, 3)[1] == aside).all() and (
        stratified_split(labels, share, 4)[1] != aside
    ).any()


def test_a_class_keeps_one_image():
    stay, aside = stratified_split(np.array([0, 0, 1]), 0.9, 0)
    assert sorted(np.array([0, 0, 1])[stay]) == [0, 1] and len(aside) == 1


def test_a_fraction_of_0_holds_nothing_out():
    assert len(stratified_split(np.arange(10) % 2, 0.0, 0)[1]) == 0


def test_copies_stay_on_one_side():
    labels, same = np.repeat([0, 1], 30), np.tile(np.arange(20), 3)  # three copies of each, some with two labels
    for seed in range(20):
        stay, aside = stratified_split(labels, 0.3, seed, same.tolist())
        assert not set(same[stay]) & set(same[aside])
        assert set(labels[stay]) == {0, 1}
