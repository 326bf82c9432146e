"""Train LeNet-5 on a part of MNIST, save it, load it, and predict."""

import tempfile
from pathlib import Path

import byhand as bh

train, test = bh.data.load("mnist")
model = bh.models.create("lenet5", classes=10, input_shape=(28, 28, 1), seed=0)
trainer = bh.Trainer(model, bh.SGD(lr=0.05, momentum=0.9), batch_size=64, schedule=bh.OneCycle())
trainer.fit(train.take(6000), test.take(1000), epochs=2)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "digits.safetensors")
    model.save(path)
    model = bh.load(path)

probabilities = model.predict(test.images[:5])
for label, row in zip(test.labels, probabilities):
    print(f"label {label}: predicted {row.argmax()} with probability {row.max():.1%}")

accuracy = trainer.evaluate(test.take(1000))["accuracy"]
assert accuracy > 0.9, accuracy
