"""The results of the bench as typed dictionaries: what `byhand bench --json` prints."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict


class Side(TypedDict):
    """What one side reached: byhand or a peer, in one of its configurations.

    value: the median of its turns, in the row's unit; precision: "float32", or whatever else it multiplies in;
    cores: CPU seconds for each second; error: the largest difference from byhand's float32 numbers, as a fraction of the
    largest of them; limit: FLOPs a second, as a fraction of the limit measured on this machine (null where it is unknown).
    """

    value: float
    precision: str
    cores: float
    error: float | None
    limit: float | None


class Ratio(TypedDict):
    """byhand's best side beside the best peer; ratio above 1: byhand is ahead; cpu_ratio: the same of CPU times."""

    byhand: str
    peer: str
    ratio: float
    cpu_ratio: float | None


class Line(TypedDict):
    """One measurement: all sides by name, and the ratios of float32 to float32 and of any precision to any precision.

    failed: sides that broke or computed other numbers; quiet: the part of this machine's cores that a spin loop beside the
    turns got, 1 on a machine with nothing else to do.
    """

    sides: dict[str, Side]
    failed: dict[str, str]
    float32: Ratio | None
    any_precision: Ratio | None
    families: dict[str, float]
    quiet: float


class Mean(TypedDict):
    """The geometric mean of the ratios of all lines, and the lowest of them."""

    ratio: float
    cpu_ratio: float | None
    lowest: float
    lowest_line: str


class Comparison(TypedDict):
    """A benchmark: its lines, and over all of them the geometric means.

    values: of each side that has all lines; families: byhand's float32 ratio to the best configuration of each framework and
    precision; goals: the ratios to reach, [required, target], by "float32", "any precision" or a family.
    """

    benchmark: str
    unit: str
    lower_is_better: bool
    lines: dict[str, Line]
    values: dict[str, float]
    float32: Mean | None
    any_precision: Mean | None
    families: dict[str, float]
    goals: dict[str, list[float]]
    quiet: float


class Row(Comparison):
    """A benchmark of a run; missing: sides that can't run here; spinning: processes that spin beside it."""

    missing: dict[str, str]
    spinning: int


class Result(TypedDict):
    """A run of the bench; threads: of byhand and of its peers; limits: GFLOP/s of the register tile, by precision.

    tuning: the table of `byhand tune` that algorithms are chosen by, empty without one.
    """

    machine: str
    threads: int
    limits: dict[str, float]
    tuning: Mapping[str, Mapping[str, float]]
    rows: list[Row]


class HistoryRow(TypedDict):
    """A benchmark of a recorded run: a line of the history file; older lines lack the last three fields."""

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
    any_precision: NotRequired[float | None]
    quiet: NotRequired[float]
    spinning: NotRequired[int]


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
