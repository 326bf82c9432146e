"""Open an ONNX model: run it, read the output of a layer, and train a new classifier on its features.

Needs the package onnx: pip install 'byhand[onnx]'
"""

import numpy as np

import byhand as bh
from byhand import onnx

# A model in an ONNX file: here the EfficientNet-Lite0 of the package.
onnx.save(bh.models.pretrained("efficientnet_lite0"), "model.onnx")

model = onnx.load("model.onnx")
print(model)

# One image, 224 x 224 pixels: a red disc on gray.
down, across = np.mgrid[:224, :224]
disc = (down - 112) ** 2 + (across - 112) ** 2 < 70**2
image = np.where(disc[..., None], (200, 30, 30), (128, 128, 128)).astype(np.uint8)

probabilities = model.predict(image[None])[0]
for k in np.argsort(-probabilities)[:3]:
    print(f"{probabilities[k]:6.1%}  {model.classes[k]}")

# The output of any layer, by name.
trace = model.trace(image[None])
first = next(node.name for node in model.graph.nodes if node.op.name == "conv2d")
maps = trace[first][0]
print(f"{first}: {maps.shape}, {np.mean(maps > 0):.0%} of it above 0")

# Transfer learning: the same features, and a new last layer, which alone learns.
classifier = model.replace_head(["disc", "square"])
square = (abs(down - 112) < 60) & (abs(across - 112) < 60)
other = np.where(square[..., None], (200, 30, 30), (128, 128, 128)).astype(np.uint8)
images, labels = np.stack([image, other] * 4), np.array([0, 1] * 4)
trainer = bh.Trainer(classifier, bh.Adam(lr=0.01), batch_size=8)
losses = [trainer.step(classifier.prepare(images), labels) for _ in range(20)]
print(
    f"loss {losses[0]:.3f} -> {losses[-1]:.3f}, {classifier.parameter_count:,} of {model.parameter_count:,} parameters learned"
)
