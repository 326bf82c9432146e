"""`byhand tutorial`: the two programs of the article that byhand began with, Victor Zhou's CNN tutorial."""

import json
from typing import Annotated

from byhand.cli.command import DATA, HAND_CHOICES, TRAINING, AsJson, command, option
from byhand.tutorial import run


@command("byhand tutorial", "byhand tutorial --hand loops --images 100 --epochs 1", panel=TRAINING)
def tutorial(
    hand: Annotated[str, option(panel=TRAINING, help=f"Implementation of the ops: {HAND_CHOICES}.")] = "compiled",
    seed: Annotated[int, option(panel=TRAINING, help="Seed of the random numbers.")] = 0,
    images: Annotated[int, option(panel=DATA, help="Number of training images, and of test images.")] = 1000,
    epochs: Annotated[int, option(panel=TRAINING, help="Passes over the training images.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Run the two programs of Victor Zhou's CNN tutorial: a network on MNIST, untrained, then trained one image at a time.

    The article is "CNNs, Part 1: An Introduction to Convolutional Neural Networks"
    (https://victorzhou.com/blog/intro-to-cnns-part-1/).
    """
    result = run(hand=hand, seed=seed, images=images, epochs=epochs, say=_ignore if as_json else _print_line)
    if as_json:
        print(json.dumps(result))


def _print_line(line: str) -> None:
    print(line, flush=True)


def _ignore(line: str) -> None:
    pass
