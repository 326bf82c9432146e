"""Data parallelism: ranks agree with one rank, and fail, stop and resume together."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.errors import ArgumentError
from byhand.train.distributed.mpi import LAUNCHER_VARIABLES, Communicator, world
from tests.train import mpi_jobs
from tests.train.small_training import network

SCRIPT = Path(mpi_jobs.__file__)
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
MISSING = "mpi4py is not installed" if importlib.util.find_spec("mpi4py") is None else None
MISSING = MISSING or ("there is no mpiexec" if MPIEXEC is None else None)
needs_mpi = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
# Open MPI asks before it runs as root, or more ranks than there are cores
ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}

DOUBLE = {"dtype": "float64"}  # so that nothing but what is meant can differ
SAME = {  # trainings that end where one rank ends
    "plain": DOUBLE,
    "arrays": DOUBLE | {"hand": "arrays"},
    "dropout": DOUBLE | {"dropout": 0.3, "augment": "flip,shift=1,mixup=0.2", "adam": True, "clip": 1.0, "smooth": 0.1},
    "few": DOUBLE | {"batch": 2, "images": 9},
    "buckets": DOUBLE | {"norm": True, "sync": True, "bucket_bytes": 64, "clip": 0.5},
    "buckets, arrays": DOUBLE | {"norm": True, "sync": True, "bucket_bytes": 512, "hand": "arrays"},
    "weights": DOUBLE | {"weights": [1, 3, 0.5], "epochs": 1},
    "soft": DOUBLE | {"soft": True, "weights": [1, 3, 0.5], "epochs": 1},
    "bce": DOUBLE | {"loss": "bce", "task": "labels", "epochs": 1},
    "norm": DOUBLE | {"norm": True, "sync": True},
    "norm, arrays": DOUBLE | {"norm": True, "sync": True, "hand": "arrays"},
    "norm, few": DOUBLE | {"norm": True, "sync": True, "batch": 2, "images": 9},
}
SINGLE = {"float32": {"dropout": 0.2, "augment": "flip"}, "norm in float32": {"norm": True, "sync": True}}
APART = {  # trainings in which each rank's norm sees its own images
    "norm apart": {"norm": True},
    "norm apart, one step": DOUBLE | {"norm": True, "epochs": 1, "images": 12, "batch": 12},
}
JOBS = SAME | SINGLE | APART
AGAIN = {f"{name}, again": JOBS[name] for name in ("float32", "norm in float32", "norm apart")}


@pytest.fixture(scope="module")
def results_of(tmp_path_factory):
    """Return a function: what a training came to on a number of ranks, on each of them."""

    @cache
    def train(count):
        folder = tmp_path_factory.mktemp(f"ranks{count}")
        if count == 1:
            mpi_jobs.main(folder, JOBS)
            return folder, (0, "", "")
        done = launch(count, folder, JOBS | AGAIN)
        return folder, (done.returncode, done.stdout, done.stderr)

    def of(count, name):
        train(1)  # compiles the kernels: ranks would say so
        folder, done = train(count)
        assert done == (0, "", "")
        return [read(folder / name, rank) for rank in range(count)]

    return of


def launch(count, folder, jobs, **more):
    """Run jobs on this many ranks; how many threads each has is theirs to decide."""
    inherited = {name: value for name, value in os.environ.items() if name != "BYHAND_THREADS"}
    return subprocess.run(
        [MPIEXEC, "-n", str(count), sys.executable, SCRIPT, folder, json.dumps(jobs)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=inherited | ROOT | more,
    )


def read(folder, rank):
    with np.load(folder / f"{rank}.npz") as file:
        return dict(file)


def close(left, right, allowed):
    """Assert that two trainings came to the same numbers, as far as rounding lets them."""
    assert left.keys() == right.keys()
    for name, ours in left.items():
        theirs = right[name]
        if name in ("history", "threads", "buckets"):
            continue
        if ours.dtype.kind != "f":
            assert np.array_equal(ours, theirs), name
        else:
            np.testing.assert_allclose(
                ours, theirs, rtol=0, atol=allowed * max(np.abs(theirs).max(), 0.1), err_msg=name
            )


def differing_arrays(left, right):
    return [name for name in left if not np.array_equal(left[name], right[name])]


# results --------------------------------------------------------------------------------------------------------------


@needs_mpi
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", SAME | SINGLE)
def test_ranks_agree_with_one_rank(results_of, name, count):
    """Of 100 images in batches of 16, the last has 4; of 9 in batches of 2, some ranks have none."""
    close(results_of(count, name)[0], results_of(1, name)[0], allowed=1e-5 if name in SINGLE else 1e-11)


@needs_mpi
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", JOBS)
def test_all_ranks_hold_the_same_bits(results_of, name, count):
    first, *others = results_of(count, name)
    assert [differing_arrays(first, result) for result in others] == [[]] * (count - 1)
    assert first["steps"] > 0 and np.isfinite(first["parameters"]).all()


@needs_mpi
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", AGAIN)
def test_the_same_number_of_ranks_gives_the_same_bits_again(results_of, name, count):
    assert differing_arrays(results_of(count, name)[0], results_of(count, name.removesuffix(", again"))[0]) == []


@needs_mpi
def test_a_batch_norm_of_each_rank_is_not_that_of_all(results_of):
    """What the synchronized one is for; the tests above would not see a norm that synchronizes nothing."""
    apart, alone = results_of(2, "norm apart")[0], results_of(1, "norm apart")[0]
    assert np.abs(apart["parameters"] - alone["parameters"]).max() > 1e-3


@needs_mpi
@pytest.mark.parametrize("count", [2, 3])
def test_running_statistics_are_the_mean_over_the_ranks(results_of, count):
    """The first norm sees after one step what a norm of all would: its mean is that of the shares' means."""
    shares, alone = results_of(count, "norm apart, one step")[0], results_of(1, "norm apart, one step")[0]
    mean, var = (next(key for key in alone if key.startswith("state") and kind in key) for kind in ("mean", "var"))
    np.testing.assert_allclose(shares[mean], alone[mean], rtol=1e-12)
    assert not np.allclose(shares[var], alone[var], rtol=1e-6)  # within a share, images vary less or more than in all
    np.testing.assert_allclose(shares[var], alone[var], rtol=0.1)


@needs_mpi
def test_buckets_overlap_with_backward(results_of):
    """64 bytes are a parameter or two: nearly each backward op sends one; of 512 bytes, the last layer alone has as many."""
    assert int(results_of(2, "buckets")[0]["buckets"]) >= 4
    assert 1 <= int(results_of(2, "buckets, arrays")[0]["buckets"]) < int(results_of(2, "buckets")[0]["buckets"])
    assert int(results_of(2, "norm")[0]["buckets"]) == 0  # ranks of one machine do not


def test_a_parameter_that_is_used_twice_is_not_sent_early():
    from byhand.train.distributed.gradient_overlap import can_overlap

    x, layer = nn.Input(4, 4, 2), nn.Conv2d(2, 3, padding="same")
    twice = nn.Model(x, nn.Linear(2)(nn.Flatten()(layer(layer(x)))), classes=("a", "b"))
    assert can_overlap(network()) and not can_overlap(twice)


@needs_mpi
def test_ranks_of_one_machine_share_its_cores(results_of):
    from byhand.kernels.runtime.cpu import cores

    assert {str(result["threads"]) for result in results_of(2, "plain")} == {str(max(1, cores() // 2))}


# errors, kills and stops ----------------------------------------------------------------------------------------------


@needs_mpi
def test_a_killed_rank_ends_the_job_and_the_checkpoint_is_whole(tmp_path):
    started = time.monotonic()
    done = launch(2, tmp_path, {"run": {"kill": [[1], 9], "quiet": False}})
    assert time.monotonic() - started < 20
    assert done.returncode != 0 and not list(tmp_path.glob("run/*.npz"))
    assert "kill" in (done.stdout + done.stderr).lower()  # mpiexec's own words
    assert done.stdout.count("epoch 1/3") == 1  # and of the ranks, only the first tells
    kept = bh.Trainer.load(tmp_path / "run")
    assert kept.steps == 7 and kept.state.steps_done == 7  # the end of the first epoch
    again = launch(2, tmp_path, {"run": {}})
    whole = launch(2, tmp_path, {"whole": {}})
    assert (again.returncode, whole.returncode) == (0, 0)
    assert differing_arrays(read(tmp_path / "run", 0), read(tmp_path / "whole", 0)) == []


@needs_mpi
def test_an_error_of_one_rank_ends_all(tmp_path):
    done = launch(3, tmp_path, {"run": {"fail": [[1], 9]}})
    assert done.returncode == 1
    assert "rank 1 of 3 ends the job: byhand.errors.ArgumentError: this went wrong\n" in done.stderr
    assert bh.Trainer.load(tmp_path / "run").steps == 7


@needs_mpi
def test_an_error_of_all_ranks_is_told_once(tmp_path):
    done = launch(2, tmp_path, {"run": {"fail": [[0, 1], 9]}})
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1 and "ends the job" not in done.stderr


@needs_mpi
def test_a_stop_reaches_all_ranks_and_other_ranks_resume(tmp_path):
    """A signal reaches one of two ranks; one goes on alone and is stopped; three finish."""
    job = DOUBLE | {"dropout": 0.2, "augment": "flip"}
    assert launch(2, tmp_path, {"run": job | {"stop": [[1], 4]}}).returncode == 0
    stopped = [read(tmp_path / "run", rank) for rank in (0, 1)]
    assert differing_arrays(*stopped) == [] and stopped[0]["unfinished"] and stopped[0]["steps"] == 5
    assert bh.Trainer.load(tmp_path / "run").steps == 5
    mpi_jobs.train(tmp_path / "run", job | {"stop": [[0], 11]})
    assert bh.Trainer.load(tmp_path / "run").steps == 11
    assert launch(3, tmp_path, {"run": job}).returncode == 0
    close(read(tmp_path / "run", 0), mpi_jobs.train(tmp_path / "whole", job), allowed=1e-11)


# a single rank --------------------------------------------------------------------------------------------------------


def test_one_rank_is_the_default():
    assert world() == Communicator() == bh.Trainer(network(), bh.SGD()).comm
    array = np.arange(3.0)
    assert (
        Communicator().all_reduce(array) is array
        and Communicator().broadcast("all") == "all"
        and Communicator().maximum(2.0) == 2.0
    )
    assert "mpi4py" not in sys.modules


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 64])
def test_the_shards_cover_the_batch(size, count):
    shards = [list(range(count))[Communicator(rank, size).shard(count)] for rank in range(size)]
    assert [item for shard in shards for item in shard] == list(range(count))
    sizes = [len(shard) for shard in shards if shard]
    assert max(sizes, default=0) - min(sizes, default=0) <= 1
    assert min(sizes, default=2) >= min(2, count), "a rank whose batch norm has no variance"
    assert all(
        len(range(count)[Communicator(rank, size).shard_or_first(count)]) == (len(own) or min(2, count))
        for rank, own in enumerate(shards)
    )


@pytest.mark.parametrize("variable", LAUNCHER_VARIABLES)
def test_without_mpi4py_mpiexec_gets_one_line(monkeypatch, variable):
    monkeypatch.setenv(variable, "0")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    world.cache_clear()
    with pytest.raises(ArgumentError, match=r"^mpiexec started this, but .*mpi4py.*; pip install 'byhand\[mpi\]'$"):
        world()
    monkeypatch.undo()
    world.cache_clear()
    assert world() == Communicator()
