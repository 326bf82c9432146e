"""The tuning table: measured, kept, used, forgotten."""

import json

import pytest

from byhand.errors import ArgumentError
from byhand.kernels.conv import tuning
from byhand.kernels.conv.algorithm import ALGORITHMS, choose, supports
from byhand.kernels.conv.tuning import Measurement, TunedShape


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
    problem = next(problem for problem, shape in tuning.problems() if shape.channels == 64 and shape.kernel == 3)
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
def test_a_damaged_file_is_no_table(own_cache, text):
    tuning.keep({})
    tuning.table_path().write_text(text)
    tuning.use(None)
    assert tuning.in_use().factors == {}


@pytest.mark.parametrize(
    "table", [3, {"direct": 1}, {"direct": {"forward": "fast"}}, {"direct": {"forward": float("nan")}}]
)
def test_what_is_no_table_is_refused(table):
    with pytest.raises(ArgumentError, match="a tuning table maps algorithms and passes to factors from"):
        tuning.use(table)


def test_each_algorithm_is_measured_beside_the_others():
    shape = TunedShape(1, 6, 8, 8, 3, 1)
    problem = some_problem()._replace(shape=shape.shape, images=1)
    able = [algorithm for algorithm in ALGORITHMS.values() if supports(algorithm, problem)]
    found = tuning.measure(able, problem, shape)
    assert {"direct", "packed", "winograd4x4"} <= {measurement.algorithm for measurement in found}
    assert all(measurement.seconds > 0 for measurement in found)
    assert tuning.measure(able[:1], problem, shape) == []


def test_the_median_of_the_shapes_counts():
    problem = some_problem()
    found = [Measurement(problem, "direct", seconds, 1.0) for seconds in (1.0, 1.1, 9.0)]
    found += [Measurement(problem, "packed", seconds, 1.0) for seconds in (2.2, 2.2, 0.1)]
    assert tuning.fit(found) == {"direct": {"forward": 0.667}, "packed": {"forward": 1.333}}
