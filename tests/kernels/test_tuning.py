"""The tuning table: measured, kept, used, forgotten."""

import json
import os

import pytest

import byhand as bh
from byhand.errors import ArgumentError, FileError
from byhand.kernels.conv import tuning, tuning_measurement
from byhand.kernels.conv.algorithm import ALGORITHMS, choose
from byhand.kernels.conv.tuning import TuningTable
from byhand.kernels.conv.tuning_measurement import Measurement, TunedShape


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Give the test a cache folder of its own, and leave no table behind."""
    monkeypatch.setenv("BYHAND_CACHE", str(tmp_path))
    monkeypatch.delenv("BYHAND_TUNING")
    tuning.use(None)
    yield tmp_path
    monkeypatch.undo()
    tuning.use(None)


def some_problem():
    """Return a problem for which Winograd is chosen without a table."""
    problem = next(
        problem for problem, shape in tuning_measurement.problems() if shape.channels == 64 and shape.kernel == 3
    )
    problem = problem._replace(precision="float32")
    assert choose(problem).name == "winograd4x4"
    return problem


def test_a_table_changes_the_choice_until_it_is_forgotten(own_cache):
    problem = some_problem()
    slow = {name: {"forward": 9.0} for name in ALGORITHMS if name.startswith("winograd")}
    tuning.keep(slow)
    assert choose(problem).name == "direct"
    assert json.loads(tuning.table_path().read_text())["factors"] == slow
    assert choose(problem._replace(pass_name="backward_weights")).name == "winograd4x4"  # the table has no such pass
    assert tuning.forget()
    assert not tuning.forget()
    assert choose(problem).name == "winograd4x4"


def test_a_run_has_its_own_table(own_cache):
    problem = some_problem()
    tuning.use({"winograd4x4": {"forward": 9.0}})
    assert choose(problem).name != "winograd4x4"
    tuning.use(None)
    assert choose(problem).name == "winograd4x4"


def test_it_can_be_left_unused(own_cache, monkeypatch):
    problem = some_problem()
    tuning.keep({"winograd4x4": {"forward": 9.0}})
    monkeypatch.setenv("BYHAND_TUNING", "off")
    tuning.use(None)
    assert choose(problem).name == "winograd4x4"


def test_another_setting_is_refused(own_cache, monkeypatch):
    monkeypatch.setenv("BYHAND_TUNING", "no")
    tuning.use(None)
    with pytest.raises(ArgumentError, match="BYHAND_TUNING is 'no'; expected off, or nothing"):
        tuning.in_use()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"factors": 3}', '{"factors": {"direct": {"forward": 1e9}}}', '{"factors": {"direct": 1}}']
)
def test_a_damaged_file_is_no_table_and_is_told_once(own_cache, text):
    tuning.keep({})
    tuning.table_path().write_text(text)
    tuning.use(None)
    with pytest.warns(UserWarning, match=r"json is not used: it is damaged; .*byhand tune; .*byhand tune --forget$"):
        assert tuning.in_use().factors == {}
    assert tuning.in_use().factors == {}  # a second warning would be an error


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_its_place_is_no_table(own_cache):
    """Reading it would wait for ever."""
    path = tuning.table_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    with pytest.warns(UserWarning, match=r"it can't be read \(no regular file\)"):
        assert tuning.in_use() == TuningTable({})


def test_a_table_of_other_estimates_is_not_used(own_cache):
    tuning.keep({"winograd4x4": {"forward": 9.0}})
    content = json.loads(tuning.table_path().read_text())
    tuning.table_path().write_text(json.dumps(content | {"estimates": "of a year ago"}))
    tuning.use(None)
    with pytest.warns(UserWarning, match="corrects the estimates of another version of byhand; measure anew"):
        assert tuning.in_use().factors == {}


def test_within_a_block_another_table_is_used(own_cache):
    problem = some_problem()
    with tuning.using(TuningTable({"winograd4x4": {"forward": 9.0}})):
        assert choose(problem).name != "winograd4x4"
    assert choose(problem).name == "winograd4x4"


def test_a_program_is_captured_with_the_table_of_its_text(own_cache):
    model = bh.models.create("lenet5")
    program = model.program(2)
    tuning.use({"direct": {"forward": 9.0}, "packed": {"forward": 1.0}})
    assert "conv1: direct" not in str(model.program(2))
    with program.choices():
        assert tuning.in_use().factors == {}


def test_a_folder_that_cannot_be_written_is_refused_before_the_measurement(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BYHAND_CACHE", str(tmp_path / "file"))
    with pytest.raises(FileError, match="set BYHAND_CACHE to another one"):
        tuning.check_folder()


@pytest.mark.parametrize(
    "table", [3, {"direct": 1}, {"direct": {"forward": "fast"}}, {"direct": {"forward": float("nan")}}]
)
def test_what_is_no_table_is_refused(table):
    with pytest.raises(ArgumentError, match="a tuning table maps algorithms and passes to factors from"):
        tuning.use(table)


def test_each_algorithm_is_measured_beside_the_others():
    shape = TunedShape(1, 6, 8, 8, 3, 1)
    problem = some_problem()._replace(shape=shape.shape, images=1)
    found = tuning_measurement.measure(tuning_measurement.competitors(problem), problem, shape)
    assert {"direct", "packed", "winograd4x4"} <= set(found.costs) == set(found.turns)
    assert all(len(turns) == tuning_measurement.ROUNDS and min(turns) > 0 for turns in found.turns.values())


def measurements(*turns_of_winograd):
    """Return measurements in which the cost of Winograd is half of that of direct, which takes a second."""
    costs = {"direct": 2.0, "winograd4x4": 1.0}
    return [Measurement(some_problem(), costs, {"direct": [1.0], "winograd4x4": turns}) for turns in turns_of_winograd]


def test_the_fastest_turn_counts():
    found = measurements([5.0, 1.0, 7.0], [1.0, 8.0, 9.0])
    assert tuning_measurement.fit(found) == {"direct": {"forward": 1.0}, "winograd4x4": {"forward": 2.0}}


def test_what_shapes_disagree_on_is_left_as_estimated():
    assert tuning_measurement.fit(measurements([0.25], [1.0], [0.55]))["winograd4x4"]["forward"] == 1.0
    assert tuning_measurement.fit(measurements([5.0]))["winograd4x4"]["forward"] == 1.0  # a single shape


def test_slow_turns_tell_that_the_machine_is_busy():
    assert tuning_measurement.spread(measurements([1.0, 1.02, 1.04])) < tuning_measurement.MAX_SPREAD
    busy = Measurement(some_problem(), {}, {"direct": [2.0, 2.5, 3.0], "winograd4x4": [1.0, 1.75, 2.0]})
    assert tuning_measurement.spread([busy]) == 0.5
