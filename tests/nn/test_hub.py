"""Weights from the Hugging Face Hub: download, cache and errors, against a local server."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import numpy as np
import pytest
from safetensors.numpy import save

import byhand as bh
from byhand.errors import FileError
from byhand.nn import hub

huggingface_hub = pytest.importorskip("huggingface_hub")

DOWNLOAD = huggingface_hub.hf_hub_download
COMMIT, OTHER_COMMIT = "a" * 40, "b" * 40


def state_dict(seed):
    """Return weights of LeNet-5 as PyTorch would name and turn them, as a safetensors file."""
    model = bh.models.create("lenet5", seed=seed)
    found = {}
    for name, values in model.parameters.items():
        layer, _, kind = name.rpartition("_")
        found[f"{layer}.{kind}"] = values.transpose(3, 2, 0, 1) if values.ndim == 4 else values.T
    found["fc1.weight"] = model.p.fc1_weight.reshape(5, 5, 16, 120).transpose(3, 2, 0, 1).reshape(120, 400)
    return save({name: np.ascontiguousarray(values) for name, values in found.items()})


FILES = {
    ("byhand/lenet", "main", "model.safetensors"): state_dict(3),
    ("byhand/lenet", "main", "half/other.safetensors"): state_dict(4),
    ("byhand/lenet", "v2", "model.safetensors"): state_dict(5),
    ("byhand/lenet", "refs/pr/1", "model.safetensors"): state_dict(6),
    ("byhand/text", "main", "model.safetensors"): b"no tensors here",
    ("byhand/short", "main", "model.safetensors"): state_dict(7),
    ("byhand/cut", "main", "model.safetensors"): state_dict(8),
}


class Hub(BaseHTTPRequestHandler):
    """The route that a download takes, /OWNER/REPO/resolve/REVISION/FILE, with the headers that the Hub answers with."""

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        self.server.asked.append((self.command, self.path))
        repo, _, rest = self.path.removeprefix("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        revision = unquote(revision)
        data = FILES.get((repo, revision, file))
        if repo == "byhand/gated":
            return self.refuse(403, "GatedRepo")
        if repo not in {key[0] for key in FILES}:
            return self.refuse(401 if repo == "byhand/private" else 404, "RepoNotFound")
        if (repo, revision) not in {key[:2] for key in FILES}:
            return self.refuse(404, "RevisionNotFound")
        if data is None:
            return self.refuse(404, "EntryNotFound")
        if with_body and repo == "byhand/short":  # less than HEAD said
            data = data[:1000]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{repo.replace("/", "-")}-{revision.replace("/", "-")}-{file.replace("/", "-")}"')
        self.send_header("X-Repo-Commit", COMMIT if revision == "main" else OTHER_COMMIT)
        self.end_headers()
        if with_body and repo == "byhand/cut":  # less than its own header says
            data = data[: len(data) // 2] if "Range" not in self.headers else b""
        if with_body:
            self.wfile.write(data)
        return None

    def refuse(self, status, code):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("X-Error-Code", code)
        self.end_headers()

    def log_message(self, *_):
        """Keep the tests' output clean."""


@contextmanager
def serving():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def at(server, cache, monkeypatch):
    """Let huggingface_hub take a server for the Hub, and a folder for its cache."""
    places = {"endpoint": f"http://127.0.0.1:{server.server_port}", "cache_dir": cache}
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", partial(DOWNLOAD, **places))
    monkeypatch.setattr("time.sleep", lambda _: None)  # between its retries


@pytest.fixture
def server(tmp_path, monkeypatch):
    with serving() as server:
        at(server, tmp_path / "cache", monkeypatch)
        yield server


@pytest.mark.parametrize(
    ("address", "seed"),
    [
        ("hf://byhand/lenet", 3),
        ("hf://byhand/lenet/model.safetensors", 3),
        ("hf://byhand/lenet/half/other.safetensors", 4),
        ("hf://byhand/lenet@v2", 5),
        ("hf://byhand/lenet@v2/model.safetensors", 5),
        ("hf://byhand/lenet@refs/pr/1/model.safetensors", 6),
    ],
)
def test_the_weights_at_an_address_end_in_the_model(server, address, seed):
    model = bh.models.create("lenet5", seed=0)
    model.load_torchvision(address)
    np.testing.assert_array_equal(model.p.flat, bh.models.create("lenet5", seed=seed).p.flat)


def test_a_download_is_cached(server, tmp_path):
    first = hub.local_file("hf://byhand/lenet")
    assert first.startswith(str(tmp_path / "cache")) and hub.local_file("hf://byhand/lenet") == first
    assert [command for command, _ in server.asked].count("GET") == 1


def test_the_cache_serves_where_the_hub_does_not_answer(tmp_path, monkeypatch):
    with serving() as server:
        at(server, tmp_path, monkeypatch)
        first = hub.local_file("hf://byhand/lenet")
    assert hub.local_file("hf://byhand/lenet") == first
    with pytest.raises(
        FileError, match=r"^can't fetch hf://byhand/text: the Hub does not answer, and .* not in the cache"
    ):
        hub.local_file("hf://byhand/text")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("hf://byhand/nothing", "there is no repository byhand/nothing, or it is private (then: hf auth login)"),
        ("hf://byhand/private", "there is no repository byhand/private, or it is private (then: hf auth login)"),
        ("hf://byhand/gated", "its owner asks for consent; give it on the page of byhand/gated, then: hf auth login"),
        ("hf://byhand/lenet@v3", "byhand/lenet has no revision 'v3'"),
        ("hf://byhand/lenet/no.safetensors", "byhand/lenet holds no no.safetensors"),
        ("hf://byhand/short", "Consistency check failed"),
        ("hf://byhand/cut", ""),
        ("hf://by..hand/lenet", ""),
    ],
)
def test_a_failed_download_is_one_line_and_leaves_the_model(server, tmp_path, address, says):
    model = bh.models.create("lenet5", seed=1)
    before = model.p.flat.copy()
    with pytest.raises(FileError) as found:
        model.load_torchvision(address)
    assert str(found.value).startswith(f"can't fetch {address}: {says}") and "\n" not in str(found.value)
    assert len(str(found.value)) > len(f"can't fetch {address}: ")
    np.testing.assert_array_equal(model.p.flat, before)
    assert not [path for path in (tmp_path / "cache").rglob("*.safetensors") if path.exists()]


def test_only_weights_files_of_a_repository_are_fetched():
    """What is no weights file, or names a place outside the repository, is refused before anybody is asked."""
    for address in (
        "hf:",
        "hf://",
        "hf://lenet",
        "hf:/byhand/lenet",
        "hf://byhand/lenet@",
        "hf://byhand/lenet/",
        "hf://byhand//lenet",
        "hf://byhand/lenet/../x.safetensors",
        "hf://../lenet",
        "hf://byhand/lenet@../x.safetensors",
        "hf://a/b c",
        "hf://byhand/lenet/a\\..\\x.safetensors",
    ):
        with pytest.raises(FileError, match=r"is no file of the Hub; expected hf://OWNER/REPO"):
            hub.local_file(address)
    for file in ("pytorch_model.bin", "model.safetensors.index.json", "weights.pth", "model.pkl"):
        with pytest.raises(FileError, match=rf"{file} is no safetensors file, and byhand reads no other"):
            hub.local_file(f"hf://byhand/lenet/{file}")


def test_a_file_that_holds_no_tensors_is_told_by_its_address(server):
    with pytest.raises(FileError, match=r"^hf://byhand/text is no state dict of lenet5: "):
        bh.models.create("lenet5").load_torchvision("hf://byhand/text")


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(FileError, match=r"to read it: pip install 'byhand\[hub\]'$"):
        bh.models.create("lenet5").load_torchvision("hf://byhand/lenet")


def test_a_process_finds_the_hub_by_its_environment(tmp_path):
    """As a person would: HF_ENDPOINT and HF_HOME; and a path that is no address never asks for the extra."""
    code = (
        "import sys, byhand as bh\n"
        "model = bh.models.create('lenet5')\n"
        "try: model.load_torchvision('none.safetensors')\n"
        "except bh.FileError: print('huggingface_hub' in sys.modules)\n"
        "model.load_torchvision('hf://byhand/lenet')\n"
        "print(float(model.p.flat.sum()))"
    )
    with serving() as server:
        places = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | places, check=True
        )
    assert done.stdout.split() == ["False", str(float(bh.models.create("lenet5", seed=3).p.flat.sum()))]
    assert list(tmp_path.rglob("model.safetensors"))
