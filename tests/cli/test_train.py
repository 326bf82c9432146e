"""Command `byhand train` on MNIST and IDX files."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from PIL import Image

import byhand as bh
from byhand.kernels.conv import tuning
from byhand.kernels.runtime.cpu import vector_unit
from byhand.program import precision
from byhand.program.precision import NO_BFLOAT16
from tests.cli.run_cli import byhand, small_mnist


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    return small_mnist(tmp_path_factory.mktemp("data") / "few")


def test_a_run_writes_the_files_that_it_names(small_data, tmp_path):
    done = byhand("train", "lenet5", small_data, "--epochs", 2, "--lr", 0.05, "--batch-size", 20, folder=tmp_path)
    assert done.code == 0, done.err
    assert done.err == ""
    for words in (
        "lenet5 on few: 28 x 28 x 1 -> 10 classes",
        "61,706 parameters, 845,852 FLOPs per image",
        "1,200 images to train on, 300 to test on",
        "2 epochs of 60 steps, batch 20",
        "epoch 1/2  loss",
        "epoch 2/2  loss",
        "test accuracy",
        "byhand predict runs/lenet5-few",
    ):
        assert words in done.out
    run = tmp_path / "runs" / "lenet5-few"
    written = {path.name for path in run.iterdir()}
    assert written == {
        "run.json",
        "log.jsonl",
        "log.csv",
        "checkpoint.safetensors",
        "model.safetensors",
        "confusion.png",
        "curves.png",
        "snapshots",
        "report.html",
        "report.png",
    }
    assert all(name in done.out for name in written)
    for picture in ("confusion.png", "curves.png"):
        with Image.open(run / picture) as image:
            assert min(image.size) > 300
    _, test = bh.data.load(small_data)
    model = bh.load(run)
    accuracy = (model.predict(test.images).argmax(1) == test.labels).mean()
    assert f"test accuracy {accuracy:.2%}" in done.out
    assert accuracy > 0.7
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in log] == [1, 2]
    assert log[-1]["test_accuracy"] == accuracy


def test_json_output_is_one_object(small_data, tmp_path):
    done = byhand("train", "article", "--data", small_data, "--epochs", 2, "--json", "--output", tmp_path / "run")
    assert (done.code, done.err) == (0, "")
    result = json.loads(done.out)
    assert result.keys() == {"test", "doctor", "history", "images_per_second", "seconds", "run"}
    assert result["test"].keys() == {"loss", "accuracy"}
    assert len(result["history"]) == 2
    assert result["run"] == str(tmp_path / "run")
    assert result["images_per_second"] > 0


def test_the_settings_of_run_json_reproduce_the_run_bit_for_bit(small_data, tmp_path):
    settings = ("--data", small_data, "--epochs", 1, "--batch-size", 50, "--lr", 0.02, "--seed", 5)
    runs = [tmp_path / "one", tmp_path / "two", tmp_path / "other"]
    byhand("train", "article", *settings, "--json", "--output", runs[0])
    told = json.loads((runs[0] / "run.json").read_text())
    again = [
        f"--{name.replace('_', '-')}={told[name]}" for name in ("data", "epochs", "batch_size", "lr", "seed", "hand")
    ]
    byhand("train", told["model"], *again, "--json", "--output", runs[1])
    byhand("train", told["model"], *again[:-2], "--seed=6", "--json", "--output", runs[2])
    models = [(run / "model.safetensors").read_bytes() for run in runs]
    assert models[0] == models[1] != models[2]


def stop_after(line, number, *words):
    """Run `byhand train` until it prints a line that begins so, send it a signal, and return what it prints after."""
    with subprocess.Popen(
        [sys.executable, "-m", "byhand", "train", *words], stdout=subprocess.PIPE, text=True
    ) as process:
        next(told for told in process.stdout if told.startswith(line))
        process.send_signal(number)
        rest = process.stdout.read()
    assert process.returncode == 130
    return rest


def test_ctrl_c_keeps_everything_and_resume_ends_in_the_same_bytes(small_data, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    settings = ["--data", str(small_data), "--epochs", "40", "--batch-size", "10", "--lr", "0.01"]
    assert byhand("train", "article", *settings, "--json", "--output", whole).code == 0
    told = stop_after("epoch 2/40", signal.SIGINT, "article", *settings, "--output", cut)
    assert "stopped after" in told
    assert f"byhand train --resume --output {cut}" in told
    assert not (cut / "model.safetensors").exists()
    assert len(bh.load(cut).predict(bh.data.mnist.test_images()[:2, ..., None])) == 2  # the checkpoint is a model too
    done = byhand("train", "--resume", "--output", cut)
    assert done.code == 0
    assert "resuming after" in done.out
    for name in ("model.safetensors", "checkpoint.safetensors", "confusion.png"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
    logs = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (whole, cut)]
    for row in logs[0] + logs[1]:
        assert row.pop("seconds") > 0
    assert logs[0] == logs[1]
    assert byhand("train", "--resume", "--output", cut).complaint.endswith("is finished; there is nothing to resume")


def test_ctrl_c_during_the_evaluation_says_how_to_resume(small_data, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    words = ("train", "article", "--data", small_data, "--epochs", 1, "--lr", 0.01, "--output", tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr("byhand.cli.train.evaluate_and_report", interrupted)
        done = byhand(*words)
    assert done.code == 130
    assert done.out.endswith(f"everything is saved; resume with:  byhand train --resume --output {tmp_path / 'run'}\n")
    assert "test accuracy" in byhand("train", "--resume", "--output", tmp_path / "run").out


def test_a_terminal_gets_a_live_bar(small_data, tmp_path):
    """Under a real pseudo-terminal: the bar shows images/s, loss, accuracy and the time left."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "byhand", "train", "lenet5", small_data, "--epochs", "2", "--output", tmp_path / "run"],
        stdout=child,
        stderr=child,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "140"},
    )
    os.close(child)
    shown = b""
    while process.poll() is None or shown == b"":
        try:
            shown += os.read(parent, 65536)
        except OSError:  # Linux says so once the other side is closed
            break
        time.sleep(0.01)
    process.wait(60)
    os.close(parent)
    assert process.returncode == 0
    for words in ("images/s", "loss", "accuracy", "left", "epoch 1/2", "test accuracy"):
        assert words in shown.decode()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["lenet"], "there is no architecture, data set or folder 'lenet'; did you mean 'lenet5'?"),
        (["--data", "mnst"], "there is no data set, folder or file 'mnst'; did you mean 'mnist'? (known: mnist)"),
        (["--model", "lenet"], "there is no model 'lenet'; did you mean 'lenet5'?"),
        (["."], "no image is in a class's folder; expected a folder a class"),
        (["lenet5", "alexnet"], "got 2 architectures: lenet5, alexnet; expected one"),
        (["lenet5", "--model", "alexnet"], "got two models: lenet5 and alexnet; expected one"),
        (["--optimizer", "mion"], "unknown value 'mion' for --optimizer; did you mean muon? expected"),
        (["--augment", "flop"], "there is no augmentation 'flop'; did you mean 'flip'?"),
        (["--unfreeze", "-1"], "--unfreeze is '-1'; expected a number of layers, or all"),
        (["--image-size", "big"], "--image-size is 'big'; expected HEIGHTxWIDTH"),
        (["--image-size", "32x32"], "the images of mnist are 28 x 28 x 1; arrays are not made into 32 x 32 x 1"),
        (["--minutes", "0"], "--minutes is 0; expected a number above 0"),
        (["--minutes", "1", "--epochs", "3"], "--minutes plans the epochs; give either --minutes or --epochs"),
        (["--validation-fraction", "1"], "--validation-fraction is 1.0; expected a number, from 0 up to 1"),
        (["--label-smoothing", "1"], "--label-smoothing is 1.0; expected a number, from 0 up to 1"),
        (["--from", "nowhere"], "there is no file nowhere"),
        (["--from", "lenet5"], "lenet5 is an untrained architecture"),
        (
            ["--from", "efficientnet_lite0"],
            "the images of mnist are 28 x 28 x 1; arrays are not made into 224 x 224 x 3",
        ),
        (["--early-stopping", "0"], "--early-stopping is 0; expected a whole number, 1 or more"),
        (["--epochs", "0"], "--epochs is 0; expected a whole number, 1 or more"),
        (["--epochs", "many"], "--epochs is 'many'; expected a whole number (see byhand train --help)"),
        (["--lr", "banana"], "--lr is 'banana'; expected a number (see"),
        (["nofolder"], "the only data set by name is mnist; `byhand models` lists the architectures"),
        (["--batch-size", "-3"], "--batch-size is -3; expected a whole number, 1 or more"),
        (["--lr", "-1"], "--lr is -1; expected a number above 0"),
        (["--lr", "0"], "--lr is 0; expected a number above 0"),
        (["--lr", "nan"], "--lr is nan; expected a number above 0"),
        (["--lr", "inf"], "--lr is inf; expected a number above 0"),
        (["--seed", "-1"], "--seed is -1"),
        (["--hand", "fast"], "unknown value 'fast' for --hand; expected loops, arrays or compiled"),
        (["--epoch", "3"], "--epochs"),
        (
            ["--unfreeze", "3"],
            "--unfreeze is for transfer learning, and this network is trained from scratch; give --from",
        ),
        (["--resume"], "there is no run to resume in runs; give its folder with --output"),
        (["--resume", "--output", "nowhere"], "nowhere is not a run: it holds no run.json"),
        (["lenet5", "extra"], "there is no architecture, data set or folder 'extra'"),
    ],
)
def test_bad_input_is_refused_and_writes_nothing(words, complaint, tmp_path):
    done = byhand("train", *words, folder=tmp_path)
    assert done.code == 2
    assert complaint in done.complaint
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_never_written_over(small_data, tmp_path):
    settings = ("train", "article", "--data", small_data, "--epochs", 1, "--json")
    assert byhand(*settings, "--output", tmp_path / "run").code == 0
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert "holds a run already" in byhand(*settings, "--output", tmp_path / "run").complaint
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before
    names = [json.loads(byhand(*settings, folder=tmp_path).out)["run"] for _ in range(2)]
    assert names == ["runs/article-few", "runs/article-few-2"]


def test_training_that_diverges_says_so_and_what_to_try(small_data, tmp_path):
    done = byhand("train", "lenet5", "--data", small_data, "--lr", 1e6, "--output", tmp_path / "run")
    assert done.code == 2
    assert "the loss became" in done.complaint
    assert "try 0.05" in done.complaint
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_resume_refuses_other_settings_and_other_data(small_data, tmp_path):
    run = tmp_path / "run"
    words = ("article", "--data", small_data, "--epochs", "500", "--lr", "0.01", "--output", run)
    stop_after("epoch 1/500", signal.SIGTERM, *words)  # a polite kill stops as cleanly as Ctrl-C
    assert byhand("train", "--resume", "--output", run, "--lr", 0.5).complaint.startswith(
        "--resume continues with lr 0.01;"
    )
    if vector_unit().bfloat16:
        assert byhand("train", "--resume", "--output", run, "--precision", "bf16").complaint == (
            "--resume continues with precision float32; start a new run for bf16"
        )
    images = small_data / "train-images-idx3-ubyte"
    before = images.read_bytes()
    images.write_bytes(before[:-1] + b"\1")
    try:
        assert "changed since" in byhand("train", "--resume", "--output", run).complaint
    finally:
        images.write_bytes(before)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"epochs": "six"}, "has 'six' as its epochs"),
        ({"epochs": [1]}, "has [1] as its epochs"),
        ({"epochs": True}, "has True as its epochs"),
        ({"epochs": 0}, "has 0 as its epochs"),
        ({"lr": None}, "has None as its lr"),
        ({"model": 5}, "has 5 as its model"),
        ({"tuning": {"direct": {"forward": 99}}}, "has a wrong tuning: a tuning table maps algorithms and passes"),
        ({"optimizer": "SGD"}, "has 'SGD' as its optimizer"),
        ({"data": "nowhere"}, "there is no data set, folder or file 'nowhere'"),
        ({"data_sha256": "0"}, "changed since"),
        ({"model": "x" * 500}, "there is no model"),
        ({"optimizer": {"kind": "SGD", "lr": "x"}}, "SGD: lr is 'x'"),
        ({"hand": "foot"}, "there is no hand 'foot'"),
        ({"output_name": 3}, "has 3 as its output_name"),
        ({"stop_when_learned": "no"}, "has 'no' as its stop_when_learned"),
        ({"label_column": ["a"]}, "has ['a'] as its label_column"),
    ],
)
def test_a_changed_run_json_gets_one_line(change, says, small_data, tmp_path):
    bh.Run.create(tmp_path / "run", run_settings(small_data) | change)
    done = byhand("train", "--resume", "--output", tmp_path / "run")
    assert done.code == 2 and done.out.count("\n") <= 1  # the title at most
    assert says in done.complaint


def test_a_run_without_a_checkpoint_is_started(small_data, tmp_path):
    bh.Run.create(tmp_path / "run", run_settings(small_data))
    assert byhand("train", "--resume", "--output", tmp_path / "run", "--json").code == 0


def test_a_run_in_bfloat16_goes_on_where_there_is_none(small_data, tmp_path, monkeypatch):
    bh.Run.create(tmp_path / "run", run_settings(small_data) | {"precision": "bf16", "hand": "compiled"})
    monkeypatch.setattr(precision, "vector_unit", lambda: replace(vector_unit(), bfloat16=False))
    precision._warn_once.cache_clear()
    done = byhand("train", "--resume", "--output", tmp_path / "run")
    assert done.code == 0 and "Warning" not in done.err
    assert done.out.count(NO_BFLOAT16) == 1


def run_settings(data):
    """Return what run.json holds before the first checkpoint."""
    return {
        "model": "article",
        "data": str(data),
        "epochs": 1,
        "batch_size": 50,
        "lr": 0.1,
        "seed": 0,
        "hand": "arrays",
        "optimizer": {"kind": "SGD", "lr": 0.1},
        "schedule": {"kind": "Constant"},
        "data_sha256": bh.data.find(data).sets().digest(),
    }


def test_resume_draws_the_pictures_that_a_kill_kept_from_being_drawn(small_data, tmp_path):
    run = tmp_path / "run"
    assert byhand("train", "article", "--data", small_data, "--epochs", 1, "--output", run).code == 0
    before = {name: (run / name).read_bytes() for name in ("curves.png", "model.safetensors", "report.png")}
    (run / "curves.png").unlink()
    assert byhand("train", run, "--resume").code == 0
    assert before == {name: (run / name).read_bytes() for name in before}


@pytest.mark.parametrize("lines", [1, 7, 10])
@pytest.mark.parametrize("buffered", [True, False], ids=["buffered", "unbuffered"])
def test_a_pipe_that_is_closed_early_does_not_stop_training(small_data, tmp_path, lines, buffered):
    run = f"{sys.executable} -u -m" if not buffered else f"env -u PYTHONUNBUFFERED {sys.executable} -m"
    command = f"{run} byhand train article --data {small_data} --epochs 3 --output {tmp_path / 'run'} | head -{lines}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True, timeout=300)
    assert "Traceback" not in done.stderr
    assert len(bh.load(tmp_path / "run").classes) == 10
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_the_precision_is_checked_used_and_kept(small_data, tmp_path):
    words = ("article", "--data", small_data, "--epochs", "1", "--output", tmp_path / "run", "--precision")
    assert byhand("train", *words, "bfloat16").complaint == "there is no precision 'bfloat16'; write bf16"
    assert "is for the compiled hand" in byhand("train", *words, "bf16", "--hand", "loops").complaint
    has_bfloat16 = vector_unit().bfloat16
    done = byhand("train", *words, "bf16")
    assert done.code == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["precision"] == (
        "bf16" if has_bfloat16 else "float32"
    )
    assert ("hand: compiled    precision: bf16    run:" if has_bfloat16 else NO_BFLOAT16) in done.out


def test_a_run_goes_on_with_its_tuning_table(small_data, tmp_path, monkeypatch):
    run, table = tmp_path / "run", {"direct": {"forward": 2.0}}
    monkeypatch.setattr(tuning, "cache_folder", lambda name: tmp_path)
    monkeypatch.delenv("BYHAND_TUNING")
    tuning.use(None)
    try:
        tuning.keep(table)
        done = byhand("train", "article", "--data", small_data, "--epochs", 1, "--output", run)
        assert done.code == 0 and "hand: compiled    tuned by `byhand tune`    run: " in done.out
        assert bh.Trainer.load(run).tuning.factors == table
        assert json.loads((run / "run.json").read_text())["tuning"] == table
        tuning.forget()
        assert tuning.in_use().factors == {}
        assert "is finished" in byhand("train", run, "--resume").complaint  # it was read, with its table
        assert tuning.in_use().factors == table
    finally:
        monkeypatch.undo()
        tuning.use(None)


def test_a_cpu_without_bfloat16_trains_in_float32(small_data, tmp_path):
    words = ("article", "--data", small_data, "--epochs", "1", "--output", tmp_path / "run", "--precision", "bf16")
    done = byhand("train", *words, BYHAND_TARGET="avx2")
    assert done.code == 0 and NO_BFLOAT16 in " ".join(done.out.split())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["precision"] == "float32"
