"""Build a residual network by calling layers on a symbolic input, and print its layers and its program."""

import byhand as bh
from byhand import nn


def block(x, filters):
    """Return x with the output of two convolutions added."""
    y = nn.Sequential(
        nn.Conv2d(filters, padding="same", bias=False),
        nn.BatchNorm(),
        nn.ReLU(),
        nn.Conv2d(filters, padding="same", bias=False),
        nn.BatchNorm(),
    )(x)
    return nn.ReLU()(x + y)


images = nn.Input(28, 28, 1)
x = nn.ReLU()(nn.Conv2d(8, stride=2, padding="same")(images))  # (28, 28, 1) -> (14, 14, 8)
x = block(x, 8)
x = nn.MaxPool2d(2)(block(x, 8))  # -> (7, 7, 8)
model = nn.Model(images, nn.Linear(10)(nn.GlobalAvgPool2d()(x)), name="small-residual")

print(model.summary())
print(model.program(batch=1))

train, test = bh.data.load("mnist")
trainer = bh.Trainer(model, bh.AdamW(lr=0.01), batch_size=32)
before = trainer.evaluate(test.take(500))["loss"]
trainer.fit(train.take(1600), epochs=1, quiet=True)
assert trainer.evaluate(test.take(500))["loss"] < before
