"""The memory of a program that classifies a photo."""

from pathlib import Path

import pytest

from byhand.bench import byhand_peer, predict_memory
from byhand.bench.check import PeerError


def test_a_program_is_measured_on_a_file_and_a_photo(monkeypatch):
    """Each peer gets a model file, a photo, and the size of the image."""
    seen = []
    monkeypatch.setattr(predict_memory, "_run", lambda words: seen.append(words[1:]) or 150_000_000)
    pytest.importorskip("onnx")
    running = predict_memory.session("tiny", byhand_peer.Peer("arrays"))
    assert next(running).numbers == [] and running.send(1.0) == 150
    ((file, photo, size),) = seen
    assert file.endswith("tiny.onnx") and photo.endswith("photo.png") and size == "32"
    running.close()
    assert not Path(file).exists()


def test_the_peak_of_a_program_is_its_own():
    small, large = (
        predict_memory._run([f"{predict_memory.PRINT_PEAK}\nx = b'x' * {size}"]) for size in (0, 50_000_000)
    )
    assert 1e6 < small < 45e6 + small < large
    with pytest.raises(PeerError, match="it ended with 3: no such file"):
        predict_memory._run(["import sys; print('no such file', file=sys.stderr); sys.exit(3)"])
