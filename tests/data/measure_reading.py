"""Measures `byhand read` over synthetic paper: what it invents on blank sheets, and what it reads of forms and of notes.

python -m tests.data.measure_reading blank --seeds 64
python -m tests.data.measure_reading forms --seeds 24
python -m tests.data.measure_reading notes --seeds 6
"""

import argparse
from multiprocessing import get_context

import numpy as np
from PIL import Image

from byhand.report.digit_reader import read_digits
from tests.data import dirty_paper, forms, synthetic_photos
from tests.data.reader import reader

KINDS = {"blank": dirty_paper.KINDS, "forms": forms.LAYOUTS, "notes": synthetic_photos.KINDS}


def gray(pixels):
    return np.asarray(Image.fromarray(pixels).convert("L"))


def measure(task):
    """Return the score of one sheet."""
    what, kind, seed = task
    if what == "blank":
        page, truth = gray(dirty_paper.sheet(seed, kind)), ()
    elif what == "forms":
        form = forms.fill_in(seed, kind)
        page, truth = form.gray, form.truth
    else:
        photo = synthetic_photos.compose(seed, kind)
        page, truth = np.asarray(photo.image.convert("L")), photo.truth
    found = [(digit.text, digit.box) for digit in read_digits(reader(), page)]
    return task, synthetic_photos.score(truth, found), "".join(text for text, _ in found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=KINDS)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--kind", help="this kind alone")
    parser.add_argument("--list", action="store_true", help="print each sheet that is not as it should be")
    words = parser.parse_args()
    kinds = [words.kind] if words.kind else KINDS[words.what]
    seeds = range(words.first, words.first + words.seeds)
    reader()  # trained before the processes part
    with get_context("fork").Pool(2) as pool:
        measured = pool.map(measure, [(words.what, kind, seed) for kind in kinds for seed in seeds], chunksize=4)
    if words.list:
        for task, score, text in measured:
            if score.right < score.written or score.invented:
                print(*task, score, text)
    for kind in (*kinds, "all"):
        scores = [score for task, score, _ in measured if kind in (task[1], "all")]
        total = sum(scores, synthetic_photos.Score(0, 0, 0, 0))
        dirty = sum(score.invented > 0 for score in scores)
        written = total if total.written else ""
        print(f"{kind:14} {written} sheets with an invention {dirty}/{len(scores)} {dirty / len(scores):.1%}")


if __name__ == "__main__":
    main()
