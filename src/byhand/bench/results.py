"""The results of the bench as typed dictionaries: what `byhand bench --json` prints."""

from typing import Any, NotRequired, TypedDict


class Line(TypedDict):
    """byhand beside its peers in one measurement; best: the best peer; ratio above 1: byhand is ahead of it."""

    byhand: float | None
    peers: dict[str, float]
    best: str | None
    ratio: float | None


class Comparison(Line):
    """A benchmark, with the geometric means of its lines where it has several.

    families: the ratio to the best peer of each framework; required_ratio, target_ratio: to reach, over the framework `rival`
    ("" for all).
    """

    benchmark: str
    unit: str
    families: dict[str, float]
    required_ratio: float
    target_ratio: float
    rival: str
    lines: NotRequired[dict[str, Line]]


class Row(Comparison):
    """A benchmark of a run; missing: peers that can't run here; failed: peers that broke or computed other numbers."""

    missing: dict[str, str]
    failed: dict[str, str]


class Result(TypedDict):
    """A run of the bench."""

    machine: str
    rows: list[Row]


class HistoryRow(TypedDict):
    """A benchmark of a recorded run: a line of the history file."""

    date: str
    commit: str | None
    cpu: str
    cores: int
    versions: dict[str, str]
    hand: str
    benchmark: str
    unit: str
    median: float
    ratios: dict[str, float]


# scaling --------------------------------------------------------------------------------------------------------------


class RankJob(TypedDict):
    """A rank's measurements to make; of: compute rank 0's shard of so many ranks, alone; sizes: all-reduces, in bytes."""

    seconds: float
    model: NotRequired[str]
    batch: NotRequired[int]
    hand: NotRequired[str]
    of: NotRequired[int]
    add: NotRequired[bool]
    sizes: NotRequired[list[int]]
    overlap: NotRequired[bool]


class RankResult(TypedDict, total=False):
    """The ranks' measurements, in seconds; bytes: of the gradient; all_reduce: (bytes, seconds) by size; add: of a byte."""

    ranks: int
    step: float
    parameters: int
    bytes: int
    threads: int
    all_reduce: list[list[float]]
    add: float


class PredictedStep(TypedDict):
    """A step of all machines; efficiency: of one machine beside one that is alone."""

    step: float
    images_per_second: float
    efficiency: float


class Prediction(PredictedStep):
    """A step of several machines over a link: computation and all-reduce in seconds, and the step with overlap."""

    machines: int
    link: str
    computation: float
    all_reduces: dict[str, float]
    all_reduce: float
    algorithm: str
    overlapped: PredictedStep


class ScalingMeasurement(TypedDict):
    """Steps and all-reduces of 1 and 2 ranks, measured on this machine, and the step that the model predicts for them."""

    model: str
    batch: int
    bytes: int
    threads: list[int]
    one_rank: float
    two_ranks: float
    computation: float
    all_reduce: float
    predicted: float
    sweep: list[list[float]]
    latency: float
    byte: float
    add: float


class Extrapolation(TypedDict):
    """A model on many machines: images of each, bytes of the gradient, and a prediction for each link and count."""

    images: int
    bytes: int
    computation: float
    rows: list[Prediction]


class ScalingResult(TypedDict):
    """A run of `byhand bench scaling`."""

    machine: str
    measured: ScalingMeasurement
    links: list[dict[str, Any]]
    paper: dict[str, Extrapolation]
