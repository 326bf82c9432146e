"""Time a classifier of photos: `byhand train FOLDER`, from the command to the report, beside PyTorch's forward pass alone.

python scripts/measure_photos.py FOLDER [ROUNDS]

FOLDER: photos, a folder for each class, in train/ and val/. PyTorch runs the same network (EfficientNet-Lite0, same weights)
on the same files, resized as byhand resizes them, on all cores, in both memory layouts. It computes the logits of all images
and stops: no new classifier, no report. Its import and the building of the network do not count. Each side runs in a process
of its own, in turns; the medians are compared.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from efficientnet_lite0_torch import EfficientNetLite0
from safetensors.torch import load_file

from byhand import models
from byhand.data import photos

LAYOUTS = ("contiguous", "channels_last")
BATCH = 16


def byhand(folder):
    """Return the seconds that the command takes with no feature kept from before, and its accuracy on val."""
    with tempfile.TemporaryDirectory() as place:
        cache = Path(os.environ.get("BYHAND_CACHE") or Path.home() / ".cache" / "byhand")
        for features in cache.glob("features/*"):
            features.unlink()
        command = [sys.executable, "-m", "byhand", "train", str(folder), "--json", "--output", f"{place}/run"]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return time.perf_counter() - started, json.loads(done.stdout)["val"]["accuracy"]


def torch_features(folder, layout):
    """Print the seconds that PyTorch takes for the features of all images, decoding included."""
    network, ours = EfficientNetLite0().eval(), models.pretrained("efficientnet_lite0")
    weights = load_file(models.WEIGHTS / "efficientnet_lite0.safetensors")
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    network = network.to(memory_format=memory)
    torch.set_num_threads(os.cpu_count())
    paths = sorted(path for path in Path(folder).glob("*/*/*") if path.is_file())
    mean, std = (torch.tensor(ours.mean), torch.tensor(ours.std))

    @torch.inference_mode()
    def features():
        count = 0
        for start in range(0, len(paths), BATCH):
            pixels = np.stack([photos.from_file(path) for path in paths[start : start + BATCH]])
            x = (torch.from_numpy(pixels).float() / 255 - mean) / std
            count += len(network(x.permute(0, 3, 1, 2).contiguous(memory_format=memory)))
        return count

    started = time.perf_counter()
    count = features()
    print(json.dumps({"seconds": time.perf_counter() - started, "images": count}))


def main(folder, rounds="3"):
    """Measure all sides in turns and print their medians."""
    ours, accuracy, theirs = [], 0.0, {layout: [] for layout in LAYOUTS}
    for number in range(int(rounds) + 1):
        seconds, accuracy = byhand(folder)
        if number:  # the first one may compile kernels
            ours.append(seconds)
        for layout in LAYOUTS if number else ():
            command = [sys.executable, __file__, folder, "--torch", layout]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            theirs[layout].append(json.loads(done.stdout)["seconds"])
        print(
            f"round {number}: byhand {seconds:.1f} s, PyTorch",
            {k: v and round(v[-1], 1) for k, v in theirs.items()},
            flush=True,
        )
    best = min(median(times) for times in theirs.values())
    print(
        f"byhand train, command to report: {median(ours):.1f} s, {accuracy:.2%} on val; "
        f"PyTorch, the features alone: {best:.1f} s; ratio {best / median(ours):.2f}"
    )


if __name__ == "__main__":
    if "--torch" in sys.argv:
        torch_features(sys.argv[1], sys.argv[3])
    else:
        main(*sys.argv[1:])
