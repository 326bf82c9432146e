"""Resume: a run stopped at any step ends in the same bytes."""

import json
import os
import signal
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import byhand as bh
from byhand.train.optim import update
from tests.train.small_training import bits, network, plain, stripes

DATA = stripes(398)
EPOCHS = 4
STEPS_PER_EPOCH = 50
BATCH = 8  # the last batch of an epoch is one of 6 images
STEPS = EPOCHS * STEPS_PER_EPOCH
TEST = DATA.take(20)
OPTIMIZERS = {"sgd": bh.SGD(0.1, 0.9), "adam": bh.Adam(0.01), "muon": bh.Muon(0.05)}
HANDS = ("arrays", "compiled")
GROUP_SIZE = bh.Trainer._group_size


@pytest.fixture(autouse=True, scope="module")
def long_groups():
    """Hand over up to 25 steps together: by default a point of the curve, here every second step, or a snapshot ends them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("byhand.train.state.CURVE_POINTS", 8)
        patch.setattr("byhand.train.state.snapshot_steps", lambda total: [0])
        yield


def new_trainer(optimizer, hand="compiled"):
    """Return a trainer with everything that a resume must bring back: momentum, running means, dropout's key, a schedule."""
    return bh.Trainer(
        network(),
        OPTIMIZERS[optimizer],
        batch_size=BATCH,
        hand=hand,
        schedule=bh.OneCycle(),
        clip_norm=1.0,
        label_smoothing=0.1,
        seed=3,
    )


class Stops:
    """Ctrl-C after the given numbers of steps, within the step; and every checkpoint's bytes, by the steps it holds.

    A group of steps that would go past a stop ends with it, unless `cut` is False; `groups` tells how long each was.
    """

    def __init__(self, monkeypatch, *after, signals=(signal.SIGINT,), cut=True):
        self.saved, self.groups, run_steps, save = {}, [], bh.Trainer._run_steps, bh.Trainer.save

        def stopped_steps(trainer, images, labels, batch, rates, *more):
            before = trainer.steps
            result = run_steps(trainer, images, labels, batch, rates, *more)
            self.groups.append(len(rates))
            assert trainer.steps == before + len(rates) and len(labels) == len(rates) * batch
            if any(before < stop <= trainer.steps for stop in after):
                for number in signals:
                    signal.raise_signal(number)
            return result

        def group_size(trainer, first, done):
            until = [stop - done for stop in after if stop > done] if cut else []
            return min([GROUP_SIZE(trainer, first, done), *until])

        def kept_save(trainer, path):
            save(trainer, path)
            self.saved[trainer.state.steps_done] = path.read_bytes()

        monkeypatch.setattr(bh.Trainer, "_run_steps", stopped_steps)
        monkeypatch.setattr(bh.Trainer, "_group_size", group_size)
        monkeypatch.setattr(bh.Trainer, "save", kept_save)


def files(run):
    return {path.name: path.read_bytes() for path in (run.model, run.checkpoint)}


def log(run):
    """Return the log without its times."""
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in run._log.read_text().splitlines()]


@cache
def uninterrupted(optimizer, hand, folder):
    run = bh.Run.create(folder / optimizer / hand, {})
    with pytest.MonkeyPatch.context() as patch:
        stops = Stops(patch)
        new_trainer(optimizer, hand).fit(DATA, TEST, epochs=EPOCHS, quiet=True, run=run)
    assert stops.groups == [25, 24, 1] * EPOCHS
    return files(run), log(run), stops.saved


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return lambda optimizer, hand="compiled": uninterrupted(optimizer, hand, folder)


def with_stops(optimizer, hand, folder, stops):
    """Train with Ctrl-C after each of these steps, from a checkpoint each time; return the run and every checkpoint."""
    run = bh.Run.create(folder, {})
    with pytest.MonkeyPatch.context() as patch:
        kept = Stops(patch, *stops)
        new_trainer(optimizer, hand).fit(DATA, TEST, epochs=EPOCHS, quiet=True, run=run)
        for number, stop in enumerate(stops):
            assert not run.finished
            assert set(kept.saved) == {*range(STEPS_PER_EPOCH, stop, STEPS_PER_EPOCH), *stops[: number + 1]}
            trainer = bh.Trainer.load(bh.Run.open(folder).checkpoint)
            assert trainer.steps == trainer.state.steps_done == stop
            trainer.fit(DATA, TEST, quiet=True, run=run)
    return run, kept.saved


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "stops",
    [
        (1,),
        (57,),
        (STEPS_PER_EPOCH - 1,),
        (STEPS_PER_EPOCH,),
        (STEPS_PER_EPOCH + 1,),
        (STEPS - 1,),
        (STEPS,),
        (1, 2),
        (57, 130),
        (49, 50, 51),
    ],
    ids=lambda stops: "+".join(map(str, stops)),
)
def test_a_stopped_run_ends_in_the_same_bytes(tmp_path, whole, hand, optimizer, stops):
    run, saved = with_stops(optimizer, hand, tmp_path / "run", stops)
    expected, rows, checkpoints = whole(optimizer, hand)
    assert files(run) == expected
    assert log(run) == rows and [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert {done: saved[done] for done in checkpoints} == checkpoints, "also the checkpoints on the way"


@settings(max_examples=16)
@given(stops=st.sets(st.integers(1, STEPS), min_size=1, max_size=3), hand=st.sampled_from(HANDS))
def test_a_run_stopped_after_any_step_ends_in_the_same_bytes(tmp_path_factory, whole, stops, hand):
    run, _ = with_stops("sgd", hand, tmp_path_factory.mktemp("stopped") / "run", sorted(stops))
    assert files(run) == whole("sgd", hand)[0]


@pytest.mark.parametrize("hand", HANDS)
def test_single_and_grouped_steps_end_in_the_same_bytes(tmp_path, whole, monkeypatch, hand):
    rng = np.random.default_rng(0)
    for name, most in (("alone", lambda: 1), ("mixed", lambda: int(rng.integers(1, 26)))):
        monkeypatch.setattr(bh.Trainer, "_group_size", lambda *given, most=most: min(most(), GROUP_SIZE(*given)))
        run = bh.Run.create(tmp_path / name, {})
        new_trainer("adam", hand).fit(DATA, TEST, epochs=EPOCHS, quiet=True, run=run)
        assert (files(run), log(run)) == whole("adam", hand)[:2]


@pytest.mark.parametrize("hand", HANDS)
def test_a_stop_within_a_group_comes_after_it(tmp_path, whole, hand):
    """Nothing between a group's steps looks at a signal; what is saved is the group's end."""
    run = bh.Run.create(tmp_path / "run", {})
    with pytest.MonkeyPatch.context() as patch:
        Stops(patch, 7, 60, cut=False)
        new_trainer("sgd", hand).fit(DATA, TEST, epochs=EPOCHS, quiet=True, run=run)
        for done in (25, 75):
            trainer = bh.Trainer.load(run.checkpoint)
            assert trainer.steps == trainer.state.steps_done == done
            trainer.fit(DATA, TEST, quiet=True, run=run)
    assert files(run) == whole("sgd", hand)[0]


def test_a_checkpoint_resumes_with_any_hand(tmp_path):
    run, moved = bh.Run.create(tmp_path / "run", {}), []
    with pytest.MonkeyPatch.context() as patch:
        Stops(patch, 57)
        new_trainer("sgd", "arrays").fit(DATA, TEST, epochs=EPOCHS, quiet=True, run=run)
    stopped = bh.Trainer.load(run.checkpoint).model.p.flat
    for hand in HANDS:
        trainer = bh.Trainer.load(run.checkpoint)
        trainer.hand, trainer.update = hand, update(trainer.optimizer, trainer.clip_norm, hand)
        trainer.step(DATA.images[:BATCH], DATA.labels[:BATCH])
        moved.append(trainer.model.p.flat - stopped)
    assert np.abs(moved[0]).max() > 1e-4
    np.testing.assert_allclose(*moved, rtol=0, atol=1e-4 * np.abs(moved[0]).max())


def test_the_stopped_trainer_itself_resumes(tmp_path, whole, monkeypatch):
    Stops(monkeypatch, 57, 120)
    trainer, run = new_trainer("adam"), bh.Run.create(tmp_path / "run", {})
    rows = [len(trainer.fit(DATA, TEST, epochs=EPOCHS, quiet=True, run=run)) for _ in range(3)]
    assert rows == [1, 2, 4] and files(run) == whole("adam")[0]


@pytest.mark.parametrize("hand", HANDS)
def test_a_checkpoint_within_an_epoch_resumes_to_the_same_bytes(tmp_path, monkeypatch, hand):
    """Within an epoch, and within a point of the curve, of three steps here."""
    monkeypatch.setattr("byhand.train.state.CURVE_POINTS", 100)

    def at_100(*stops):
        folder = tmp_path / str(stops)
        with pytest.MonkeyPatch.context() as patch:
            kept, run = Stops(patch, *stops), bh.Run.create(folder, {})
            trainer = bh.Trainer(network(), bh.SGD(0.1, 0.9), batch_size=2, hand=hand)
            for _ in stops:
                trainer.fit(DATA, epochs=2, quiet=True, run=run)
                trainer = bh.Trainer.load(run.checkpoint)
        return kept.saved[100]

    assert at_100(100) == at_100(98, 100) == at_100(97, 99, 100)


def test_a_checkpoint_within_an_epoch_is_written_by_the_clock(tmp_path, monkeypatch):
    monkeypatch.setattr("byhand.train.trainer.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("byhand.train.state.CURVE_POINTS", 5)
    stops, run = Stops(monkeypatch), bh.Run.create(tmp_path / "run", {})
    new_trainer("sgd").fit(DATA.take(80), TEST, quiet=True, run=run)
    assert set(stops.saved) == {2, 4, 6, 8, 10}, "after each group of steps"
    for done in (4, 10):
        (tmp_path / "checkpoint").write_bytes(stops.saved[done])
        other = bh.Run.create(tmp_path / f"from {done}", {})
        bh.Trainer.load(tmp_path / "checkpoint").fit(DATA.take(80), TEST, quiet=True, run=other)
        assert other.model.read_bytes() == run.model.read_bytes()


def test_state_lost_by_a_resume_is_detected(tmp_path, whole, monkeypatch):
    """Each thing that a checkpoint holds counts: without it, the run ends in other bytes."""

    def forget(what):
        run = bh.Run.create(tmp_path / what, {})
        with pytest.MonkeyPatch.context() as patch:
            Stops(patch, 57)
            new_trainer("sgd").fit(DATA, TEST, epochs=EPOCHS, quiet=True, run=run)
        trainer = bh.Trainer.load(run.checkpoint)
        if what == "velocity":
            trainer.buffers["velocity"][...] = 0
        elif what == "key":
            trainer.model.state.dropout1_key[...] = 1
        elif what == "running mean":
            trainer.model.state.norm1_running_mean[...] = 0
        elif what == "place":
            trainer.state.steps_done -= 1
        trainer.fit(DATA, TEST, quiet=True, run=run)
        return files(run)["model.safetensors"] == whole("sgd")[0]["model.safetensors"]

    forgotten = ("nothing", "velocity", "key", "running mean", "place")
    assert {what: forget(what) for what in forgotten} == {what: what == "nothing" for what in forgotten}


# signals --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_a_whole_step(monkeypatch, capsys, number):
    Stops(monkeypatch, 3, signals=[number])
    trainer = new_trainer("sgd")
    assert trainer.fit(DATA, epochs=EPOCHS) == []
    assert trainer.steps == trainer.state.steps_done == 3
    assert capsys.readouterr().out == "stopped after 3 of 200 steps\n"


def test_the_signal_handlers_are_put_back(monkeypatch):
    def mine(*_):
        raise AssertionError("not while training")

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, mine)
        Stops(monkeypatch, 3, 7)
        trainer = new_trainer("sgd")
        trainer.fit(DATA, epochs=EPOCHS, quiet=True)  # stopped
        assert [signal.getsignal(number) for number in before] == [mine, mine]
        trainer.fit(DATA, quiet=True)
        trainer.fit(DATA, quiet=True)  # to its end
        assert trainer.state is None and [signal.getsignal(number) for number in before] == [mine, mine]
        with pytest.raises(bh.DivergedError):
            plain(bh.SGD(lr=1e30)).fit(DATA, epochs=EPOCHS, quiet=True)
        assert [signal.getsignal(number) for number in before] == [mine, mine]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_second_ctrl_c_interrupts_and_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    stops, run = Stops(monkeypatch, 57, signals=[signal.SIGINT] * 2), bh.Run.create(tmp_path / "run", {})
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a suite that runs in the background ignores Ctrl-C
    try:
        with pytest.raises(KeyboardInterrupt):
            new_trainer("sgd").fit(DATA, TEST, epochs=EPOCHS, quiet=True, run=run)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert set(stops.saved) == {STEPS_PER_EPOCH} and run.checkpoint.read_bytes() == stops.saved[STEPS_PER_EPOCH]
    assert bh.Trainer.load(run.checkpoint).state.steps_done == STEPS_PER_EPOCH


def test_a_stop_does_not_save_nan(tmp_path, monkeypatch):
    run = bh.Run.create(tmp_path / "run", {})
    new_trainer("sgd").save(run.checkpoint)
    before = run.checkpoint.read_bytes()
    run_steps = bh.Trainer._run_steps

    def last_steps(trainer, *arguments):
        result = run_steps(trainer, *arguments)
        trainer.model.p.flat[7] = np.inf
        signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(bh.Trainer, "_run_steps", last_steps)
    with pytest.raises(bh.DivergedError, match="a parameter is not finite at step 25"):
        new_trainer("sgd").fit(DATA, epochs=EPOCHS, quiet=True, run=run)
    assert run.checkpoint.read_bytes() == before


# errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "epochs"), [(DATA.take(397), None), (DATA, 5), (DATA.take(3), EPOCHS)])
def test_resume_refuses_other_settings(monkeypatch, data, epochs):
    Stops(monkeypatch, 57)
    trainer = new_trainer("sgd")
    trainer.fit(DATA, epochs=EPOCHS, quiet=True)
    before = bits(trainer)
    says = rf"under way has 4 epochs of 398 images; got {epochs or 4} of {len(data)}; finish it first, or make a new"
    with pytest.raises(bh.ArgumentError, match=says):
        trainer.fit(data, epochs=epochs, quiet=True)
    assert bits(trainer) == before and trainer.state.steps_done == 57


# the run's folder -----------------------------------------------------------------------------------------------------


def test_open_removes_only_partial_files(tmp_path):
    run = bh.Run.create(tmp_path / "run", {"a": 1})
    run.log({"epoch": 1})
    (run.folder / ".checkpoint.safetensors.0a1b2c3d.part").write_bytes(b"half")
    (run.folder / "notes.part").write_text("mine")
    (run.folder / ".hidden").write_text("mine too")
    assert bh.Run.open(run.folder).settings == {"a": 1}
    assert {path.name for path in run.folder.iterdir()} == {"run.json", "log.jsonl", "log.csv", "notes.part", ".hidden"}


def test_create_never_writes_over_a_run(tmp_path):
    run = bh.Run.create(tmp_path / "deep" / "run", {"a": 1})
    with pytest.raises(bh.FileError, match=r"holds a run already; choose another --output"):
        bh.Run.create(run.folder, {"a": 2})
    assert run.settings == {"a": 1}


def test_create_keeps_out_of_a_folder_with_other_files(tmp_path):
    (tmp_path / ".hidden").write_text("")
    bh.Run.create(tmp_path, {})
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "log.csv").write_text("mine")
    with pytest.raises(bh.FileError, match=r"photos is not empty; choose a new folder for the run"):
        bh.Run.create(tmp_path / "photos", {})
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["log.csv"]


def test_create_reports_an_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(bh.FileError, match=r"can't make the folder .*file"):
        bh.Run.create(tmp_path / "file" / "run", {})


@pytest.mark.skipif(os.name == "nt", reason="access by mode")
def test_a_folder_that_can_not_be_made_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        bh.FileError, match=r"can't make the folder .*run: .*file is no folder; choose another --output"
    ):
        bh.Run(tmp_path / "file" / "run").check_new()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as for a user who may not write
    with pytest.raises(
        bh.FileError, match=r"can't make the folder .*run: .* can't be written; choose another --output"
    ):
        bh.Run(tmp_path / "new" / "run").check_new()
    assert not (tmp_path / "new").exists()


def test_open_wants_a_run(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(bh.FileError, match=r"is not a run: it holds no run\.json"):
            bh.Run.open(folder)


def test_log_rows_are_replaced_not_doubled(tmp_path):
    run = bh.Run.create(tmp_path / "run", {})
    for row in ({"epoch": 1, "loss": 3}, {"epoch": 2, "loss": 2}, {"epoch": 3, "loss": 1}, {"epoch": 2, "loss": 9}):
        run.log(row)
    assert log(run) == [{"epoch": 1, "loss": 3}, {"epoch": 2, "loss": 9}]


@pytest.mark.parametrize("text", ["{", "[]\n", "1\n", '{"epoch": "1"}\n', "\xff\n", "[" * 100_000])
def test_an_invalid_log_is_refused(tmp_path, text):
    run = bh.Run.create(tmp_path / "run", {})
    run._log.write_bytes(text.encode("latin1"))
    with pytest.raises(bh.FileError, match=r"log\.jsonl can't be read") as caught:
        run.log({"epoch": 2})
    assert "\n" not in str(caught.value) and run._log.read_bytes() == text.encode("latin1")


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "\xff", "[" * 100_000, '{"a": 1' + "0" * 5000 + "}"])
def test_invalid_settings_are_refused(tmp_path, text):
    run = bh.Run.create(tmp_path / "run", {})
    run._settings.write_bytes(text.encode("latin1"))
    with pytest.raises(bh.FileError, match=r"run\.json can't be read") as caught:
        _ = bh.Run.open(run.folder).settings
    assert "\n" not in str(caught.value)
