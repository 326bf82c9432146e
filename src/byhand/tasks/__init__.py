"""What a network answers, as people and programs read it: a file a task.

    classes.py    one class of several
    labels.py     any of several labels, or one of two
    numbers.py    the outputs as they are
    features.py   an output that has no answer of its own, and so no functions

The others have the same functions:

    as_dict(names, values, count)     an answer for JSON
    csv_header(names, count), csv_row(names, values, count)
    table_row(names, values, count)   (answer, value, the rest) for a terminal

names: of classes or labels, () where there are none; values: of one image, as `Model.predict` returns them; count: how many of
the most probable are listed. Identity is the index: two classes may have one name.
"""

from types import ModuleType

from byhand.nn import Model
from byhand.tasks import classes, features, labels, numbers

__all__ = ["task_of"]

BY_NAME: dict[str, ModuleType] = {"classes": classes, "labels": labels, "numbers": numbers, "features": features}


def task_of(model: Model) -> ModuleType:
    """Return the functions of a model's task.

    >>> import byhand as bh
    >>> task_of(bh.models.create("lenet5")).csv_header(["cat", "dog"], 1)
    ['class', 'probability', 'index']
    """
    return BY_NAME[model.task]
