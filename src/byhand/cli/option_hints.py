"""What to write for an option that a command does not have: its name in other programs, or a slip."""

from collections.abc import Sequence
from difflib import get_close_matches

MIN_SIMILARITY = 0.7  # of an option that is suggested

# Names in ultralytics, timm, torchvision's references, fastai and scikit-learn, and here.
RENAMED = {
    **dict.fromkeys(("batch", "bs", "batchsize"), "batch-size"),
    **dict.fromkeys(("epoch", "num-epochs", "max-epochs", "n-epochs", "max-iter"), "epochs"),
    **dict.fromkeys(("imgsz", "img", "img-size", "image", "size", "input-size", "resolution"), "image-size"),
    **dict.fromkeys(("weights", "pretrained", "checkpoint", "finetune", "init"), "from"),
    **dict.fromkeys(("arch", "architecture", "network", "backbone", "net"), "model"),
    **dict.fromkeys(("opt", "optim"), "optimizer"),
    **dict.fromkeys(("patience", "early-stop"), "early-stopping"),
    **dict.fromkeys(
        ("val-split", "validation-split", "val-fraction", "valid-pct", "val", "test-size"), "validation-fraction"
    ),
    **dict.fromkeys(("fold", "val-fold"), "validation-fold"),
    **dict.fromkeys(("time", "max-time", "max-minutes", "budget", "time-limit"), "minutes"),
    **dict.fromkeys(("smoothing",), "label-smoothing"),
    **dict.fromkeys(("random-state", "random-seed"), "seed"),
    **dict.fromkeys(("out", "output-dir", "project", "name", "save-dir", "dir"), "output"),
    **dict.fromkeys(("continue",), "resume"),
    **dict.fromkeys(("topk", "k", "top"), "top-k"),
    **dict.fromkeys(("class-names", "classes", "names"), "labels"),
    **dict.fromkeys(("normalize-mean",), "mean"),
    **dict.fromkeys(("root", "path", "dataset", "source"), "data"),
    **dict.fromkeys(("reset", "clear", "delete", "remove"), "forget"),
    **dict.fromkeys(("filter", "match", "lines"), "only"),
    **dict.fromkeys(("repeats", "repeat", "turns", "runs"), "rounds"),
}
NEEDLESS = {
    **dict.fromkeys(("device", "gpu", "gpus", "cpu", "cuda"), "byhand computes on the CPU: leave it out"),
    **dict.fromkeys(("workers", "num-workers", "j"), "images are prefetched by a thread: leave it out"),
    **dict.fromkeys(
        ("amp", "fp16", "half", "bf16", "bfloat16", "dtype", "mixed-precision"),
        "byhand computes in float32; byhand train and byhand predict take --precision bf16",
    ),
    **dict.fromkeys(
        ("freeze", "frozen"),
        "--from freezes the layers below the classifier: --unfreeze N trains the last N of them",
    ),
    **dict.fromkeys(("verbose", "v"), "leave it out; --json prints all results as one object"),
    **dict.fromkeys(("quiet", "q", "silent"), "write --json, which prints the results alone"),
    **dict.fromkeys(
        ("weight-decay", "wd", "momentum", "scheduler"), "it is set from Python: bh.Trainer(model, bh.SGD(...))"
    ),
    **dict.fromkeys(("limit", "subset", "max-images"), "a part of a data set is taken from Python: train.take(1000)"),
}


def unknown_option(option: str, known: Sequence[str]) -> str:
    """Return the message for an option that a command does not have; known: those that it has.

    >>> unknown_option("--minuts", ["--epochs", "--minutes"])
    'there is no option --minuts; did you mean --minutes?'
    >>> unknown_option("--imgsz", ["--image-size"])
    'there is no option --imgsz; write --image-size'
    >>> unknown_option("--freeze", ["--unfreeze"])
    'there is no option --freeze; --from freezes the layers below the classifier: --unfreeze N trains the last N of them'
    """
    name, message = option.lstrip("-").lower().replace("_", "-"), f"there is no option {option}"
    if (here := f"--{RENAMED.get(name, name)}") in known and here != option:
        return f"{message}; write {here}"
    if name in NEEDLESS:
        return f"{message}; {NEEDLESS[name]}"
    names = [other.lstrip("-") for other in known if other.startswith("--")]
    close = get_close_matches(name, names, n=1, cutoff=MIN_SIMILARITY)
    return f"{message}; did you mean --{close[0]}?" if close else message
