"""Write a network of your own as one HTML page to explore it: python html_page.py, then open a_page.html."""

from pathlib import Path

import byhand as bh
from byhand import nn
from byhand.page import Look, Snapshot, document


def network(seed=0):
    images = nn.Input(28, 28, 1)
    x = nn.Sequential(nn.Conv2d(6, 3), nn.ReLU(), nn.MaxPool2d(2))(images)
    x = nn.ReLU()(x + nn.Conv2d(6, 3, padding="same")(x))  # a residual
    return nn.Model(images, nn.Linear(10)(nn.Flatten()(x)), seed=seed, mean=0.5)


def main():
    train, test = bh.data.load("mnist")
    model = network()
    trainer = bh.Trainer(model, bh.SGD(lr=0.05, momentum=0.9))
    trainer.fit(train.take(6000), test.take(1000), epochs=1)
    before = Snapshot(0, 0.0, network())  # before training: the page has a slider
    look = Look(
        model,
        "a residual network",
        tests=test.images[:500],
        labels=test.labels[:500],
        snapshots=[before],
        history=trainer.history,
        curve=trainer.curve,
    )
    Path("a_page.html").write_bytes(document(look))
    print("wrote a_page.html: open it, and point at a number")


if __name__ == "__main__":
    main()
