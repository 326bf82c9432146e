"""`byhand tutorial`: the two programs of the article that byhand began with, Victor Zhou's CNN tutorial, explained."""

import json
import textwrap
from typing import Annotated

from byhand.cli.command import DATA, HAND_CHOICES, TRAINING, AsJson, command, option
from byhand.tutorial import LEARN_RATE, Result, run

WIDTH = 80
# What the command explains before a line of the article's programs, by the line; the first is filled with the settings.
EXPLANATIONS = {
    "MNIST CNN initialized!": (
        'The network of Victor Zhou\'s article "CNNs" (https://victorzhou.com/blog/intro-to-cnns-part-1/), which tells '
        "which digit a gray 28x28 image shows: 8 filters of 3x3, 2x2 max pooling, one softmax layer. "
        "Part 1 of the article runs it untrained over {images:,} test images, 100 a line. It guesses: one in ten is right, "
        "and the loss, the mean of -ln(probability of the true digit), is about ln 10 = 2.303."
    ),
    "--- Epoch 1 ---": (
        "Part 2 trains it, one image at a time, on {images:,} other images; epochs: {epochs}, learning rate: {rate}. The "
        "loss falls, and the accuracy, of the 100 images before each line, rises."
    ),
    "--- Testing the CNN ---": "Now the test images again, which it was not trained on.",
}


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
    (https://victorzhou.com/blog/intro-to-cnns-part-1/). Its lines are printed as its programs print them, with explanations
    between them.
    """

    def say(line: str) -> None:
        if as_json:
            return
        if line in EXPLANATIONS:
            text = EXPLANATIONS[line].format(images=images, epochs=epochs, rate=LEARN_RATE)
            print(f"\n{_fill(text)}\n")
        print(line, flush=True)

    result = run(hand=hand, seed=seed, images=images, epochs=epochs, say=say)
    print(json.dumps(result) if as_json else f"\n{_fill(conclusion(result))}")


def _fill(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)


def conclusion(result: Result) -> str:
    """Return what the two programs have shown, in words.

    >>> untrained, trained = {"loss": 2.3, "accuracy": 0.1}, {"loss": 0.6, "accuracy": 0.8}
    >>> conclusion({"untrained": untrained, "steps": [], "test": trained, "seconds": 0.25}).split(". ")[0]
    'Untrained it was right on 10% of the test images, trained on 80%; both programs took 0.25 s'
    """
    untrained, trained = result["untrained"]["accuracy"], result["test"]["accuracy"]
    return (
        f"Untrained it was right on {untrained:.0%} of the test images, trained on {trained:.0%}; both programs took "
        f"{result['seconds']:.2f} s. Its layers as loops and as NumPy arrays are the file byhand/tutorial/network.py; "
        "`byhand train --model article` trains it on all of MNIST."
    )
