"""Pipes, sockets, devices, folders and circular links in the place of files that a user names: refused, never waited for."""

import os
import socket

import numpy as np
import pytest

import byhand as bh
from byhand.data.image_decoding import inspect_image
from byhand.data.label_map import read_class_names
from byhand.errors import FileError
from byhand.train.run import Run

READERS = {
    "names.txt": read_class_names,
    "model.safetensors": bh.load,
    "model.onnx": bh.load,
    "data.npz": bh.data.load,
    "table.csv": bh.data.load,
    "photo.png": lambda path: inspect_image(path, 8),
    "checkpoint.safetensors": bh.Trainer.load,
    "log.jsonl": lambda path: Run(path.parent).rows(),
    "run.json": lambda path: Run.open(path.parent).settings,
}


def pipe(path):
    os.mkfifo(path)


def link_to_a_device(path):
    path.symlink_to("/dev/zero")


def circular_link(path):
    path.symlink_to(path.name)


def bound_socket(path):
    os.chdir(path.parent)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


@pytest.mark.skipif(os.name == "nt", reason="no such things in the file system there")
@pytest.mark.parametrize("make", [pipe, link_to_a_device, circular_link, bound_socket, os.mkdir])
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_regular_file_is_refused(name, make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name)
    with pytest.raises(bh.ByhandError) as refused:
        READERS[name](tmp_path / name)
    assert isinstance(refused.value, (FileError, LookupError)) and name.split(".")[0] in str(refused.value)


def test_a_file_of_names_of_any_size_is_bounded(tmp_path):
    path = tmp_path / "names.txt"
    with path.open("wb") as file:
        file.truncate(2**40)  # a sparse file
    with pytest.raises(FileError, match="expected class names, at most"):
        read_class_names(path)


def test_the_log_is_read_as_it_is(tmp_path):
    (tmp_path / "log.jsonl").write_bytes(b'{"epoch": 1, "loss": 0.5}\r\n')
    assert Run(tmp_path).rows() == [{"epoch": 1, "loss": 0.5}]
    assert np.isfinite(Run(tmp_path).rows()[0]["loss"])
