"""Work done ahead: in order, bounded, and what goes wrong comes out where it belongs."""

import threading
import time

import numpy as np
import pytest

from byhand.data import Augment, Dataset
from byhand.data.ahead import Ahead
from byhand.data.feed import Draw, Feed
from byhand.data.split import stratified


def test_results_come_in_order_whoever_is_first():
    def make(item):
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item * item

    assert list(Ahead(make, range(20), threads=4)) == [item * item for item in range(20)]


def test_no_more_is_made_ahead_than_was_said():
    made, lock = [], threading.Lock()

    def make(item):
        with lock:
            made.append(item)
        return item

    ahead = Ahead(make, iter(range(100)), threads=2, depth=5)
    assert next(ahead) == 0
    time.sleep(0.1)
    assert 5 <= len(made) <= 7
    ahead.close()
    assert len(made) <= 7


def test_an_error_comes_out_at_its_turn():
    def make(item):
        if item == 3:
            raise ValueError("three")
        return item

    got = []
    with pytest.raises(ValueError, match="three"):
        got.extend(Ahead(make, range(10)))
    ahead = Ahead(make, range(10))
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(ahead)


def test_waiting_is_counted():
    slow = Ahead(lambda item: time.sleep(0.05), range(3), threads=1)
    list(slow)
    assert slow.waited > 0.1
    quick = Ahead(lambda item: item, range(3), threads=1)
    for _ in quick:
        time.sleep(0.02)
    assert quick.waited < 0.05


def test_a_feed_gives_each_image_with_its_label():
    images = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1).repeat(4, 2)
    data = Dataset(images, np.arange(40) % 4, tuple("abcd"))
    rng = np.random.default_rng(0)
    for augment in (Augment(), Augment(flip=True)):
        rows = [rng.permutation(40)[:7] for _ in range(6)]
        feed = Feed(data, augment, ((Draw(one, rng.random((7, augment.numbers))), i) for i, one in enumerate(rows)))
        for number, one in enumerate(rows):
            batch, more = next(feed)
            shown = batch.images if batch.rows is None else batch.images[batch.rows]
            assert more == number and (shown[:, 0, 0, 0] == one).all() and (batch.labels == one % 4).all()
        feed.close()


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_each_class_gives_its_share(share):
    labels = np.repeat([0, 1, 2], [100, 40, 7])
    stay, aside = stratified(labels, share, 3)
    assert sorted([*stay, *aside]) == list(range(147))
    assert np.bincount(labels[aside]).tolist() == [round(share * count) or 1 for count in (100, 40, 7)]
    assert (stratified(labels, share, 3)[1] == aside).all() and (stratified(labels, share, 4)[1] != aside).any()


def test_a_class_keeps_one_image():
    stay, aside = stratified(np.array([0, 0, 1]), 0.9, 0)
    assert sorted(np.array([0, 0, 1])[stay]) == [0, 1] and len(aside) == 1


def test_no_share_sets_nothing_aside():
    assert len(stratified(np.arange(10) % 2, 0.0, 0)[1]) == 0


def test_copies_are_never_parted():
    labels, same = np.repeat([0, 1], 30), np.tile(np.arange(20), 3)  # three copies of each, some with two labels
    for seed in range(20):
        stay, aside = stratified(labels, 0.3, seed, same.tolist())
        assert not set(same[stay]) & set(same[aside])
        assert set(labels[stay]) == {0, 1}
