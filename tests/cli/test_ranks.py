"""`byhand train` under mpiexec: one output, one run folder, one exit code."""

import json
import os
import subprocess
import sys

from PIL import Image

from tests.cli.run_cli import COMPILING
from tests.train.small_training import stripes
from tests.train.test_ranks import MPIEXEC, ROOT, needs_mpi


def byhand(folder, *words):
    return subprocess.run(
        [MPIEXEC, "-n", "2", sys.executable, "-m", "byhand", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | ROOT,
    )


def pictures(folder):
    data = stripes(60, size=16)
    for i, (image, label) in enumerate(zip(data.images, data.labels)):
        place = folder / data.classes[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(place / f"{i}.png")


@needs_mpi
def test_two_ranks_print_once(tmp_path):
    pictures(tmp_path / "pictures")
    done = byhand(tmp_path, "train", "pictures", "--model", "tiny", "--epochs", "2", "--sync-batchnorm")
    said = [line for line in done.stderr.splitlines() if not line.startswith(COMPILING)]
    assert (done.returncode, said) == (0, ["learning-rate range test ..."])
    assert done.stdout.count("2 ranks share each batch") == 1 and done.stdout.count("epoch 2/2") == 1
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "run.json").read_text())["sync_batchnorm"] is True
    assert (run / "model.safetensors").exists() and (run / "curves.png").exists()


@needs_mpi
def test_json_output_of_two_ranks_is_one_object(tmp_path):
    pictures(tmp_path / "pictures")
    done = byhand(tmp_path, "train", "pictures", "--model", "tiny", "--epochs", "1", "--lr", "0.05", "--json")
    assert len(json.loads(done.stdout)["history"]) == 1


@needs_mpi
def test_one_line_for_an_error(tmp_path):
    done = byhand(tmp_path, "train", "nowhere")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith("byhand: ")
    assert done.stdout == "" and not list(tmp_path.iterdir())
