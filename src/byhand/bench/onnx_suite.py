"""ONNX's suite of backend tests, run against `byhand.onnx.backend`: the number of cases that pass, by operator.

The suite is part of the package onnx: cases for each operator, cases exported by PyTorch, and nine classic networks with their
expected outputs.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

from byhand.console import pad
from byhand.errors import ByhandError, UnsupportedError
from byhand.kernels import cdiv
from byhand.onnx import backend
from byhand.onnx.readers import READERS
from byhand.ops import DEFAULT_HAND
from byhand.ops.op import Array
from byhand.translation import translate

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "real")
PASSED = "passed"
UNSUPPORTED = "unsupported"
FAILED = "failed"
COLUMNS = 3  # of operators, side by side


DataSet = tuple[list[Array], list[Array]]  # inputs, expected outputs


@dataclass(frozen=True)
class SuiteCase:
    """A graph, inputs with their expected outputs, and the tolerance of the comparison."""

    kind: str
    name: str
    model: onnx.ModelProto
    data: list[DataSet]
    rtol: float
    atol: float

    @property
    def operators(self) -> set[str]:
        """The operators of the graph."""
        return {node.op_type for node in self.model.graph.node}

    @property
    def known(self) -> bool:
        """Whether byhand reads every operator of the graph."""
        return self.operators <= READERS.keys()


@dataclass(frozen=True)
class SuiteResult:
    """How a case ended, and what was wrong."""

    case: SuiteCase
    outcome: str
    why: str = ""


def cases(kinds: Iterable[str] = KINDS) -> Iterator[SuiteCase]:
    """Yield the suite's cases."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some reference results overflow on purpose
        tests = [(kind, test) for kind in kinds for test in load_model_tests(kind=kind)]
    for kind, test in tests:
        found = _node(test) if kind == "node" else _real(test) if kind == "real" else _stored(test)
        if found is not None:
            yield SuiteCase(kind, test.name, *found, test.rtol, test.atol)


Graph = tuple[onnx.ModelProto, list[DataSet]]


def _node(test: TestCase) -> Graph:
    """Return a case that is made here."""
    assert test.model is not None and test.data_sets is not None
    return test.model, [
        ([_array(x) for x in inputs], [_array(y) for y in outputs]) for inputs, outputs in test.data_sets
    ]


def _real(test: TestCase) -> Graph:
    """Return a network whose weights are constants, with the answer that lies beside it."""
    assert test.url is not None
    path = Path(onnx.__file__).parents[1] / test.url
    model = onnx.load(path)
    held = {tensor.name for tensor in model.graph.initializer}
    given = [Runner.generate_dummy_data(x, name=test.name) for x in model.graph.input if x.name not in held]
    return model, [(given, [_read(file) for file in sorted(path.parent.glob(f"{path.stem}_output_*.pb"))])]


def _stored(test: TestCase) -> Graph | None:
    """Return a case that lies on the disk, where all that goes in and comes out is tensors."""
    assert test.model_dir is not None
    folder = Path(test.model_dir)
    model = onnx.load(folder / "model.onnx")
    if not all(value.type.HasField("tensor_type") for value in (*model.graph.input, *model.graph.output)):
        return None
    sets = sorted(folder.glob("test_data_set_*"))
    return model, [(_files(folder, "input"), _files(folder, "output")) for folder in sets]


def _files(folder: Path, what: str) -> list[Array]:
    count = len(list(folder.glob(f"{what}_*.pb")))
    return [_read(folder / f"{what}_{i}.pb") for i in range(count)]


def _read(path: Path) -> Array:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


def _array(value: Array | onnx.TensorProto) -> Array:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def run(case: SuiteCase, hand: str = DEFAULT_HAND) -> SuiteResult:
    """Run a case with a hand; the suite's own comparison says whether the results are right."""
    try:
        with np.errstate(all="ignore"):
            prepared = backend.prepare(case.model, hand=hand)
            for inputs, outputs in case.data:
                Runner.assert_similar_outputs(outputs, prepared.run(inputs), rtol=case.rtol, atol=case.atol)
    except UnsupportedError as error:
        return SuiteResult(case, UNSUPPORTED, str(error))
    except (ByhandError, AssertionError) as error:
        return SuiteResult(case, FAILED, " ".join(str(error).split()))
    return SuiteResult(case, PASSED)


def suite(hand: str = DEFAULT_HAND, progress: Callable[[str], None] = lambda line: None) -> list[SuiteResult]:
    """Run every case; a case whose graph byhand can't read counts as unsupported."""
    results = []
    for i, case in enumerate(cases()):
        results.append(run(case, hand))
        if i % 500 == 499:
            progress(f"  {i + 1:,} cases")
    return results


def report(results: list[SuiteResult]) -> str:
    """Return what passed, by operator, then by kind."""
    uses, passed = Counter[str](), Counter[str]()
    for result in results:
        uses.update(result.case.operators & READERS.keys())
        passed.update(result.case.operators & READERS.keys() if result.outcome == PASSED else ())
    cells = [f"{name:26}{passed[name]:4}/{uses[name]:<4}" for name in sorted(uses)]
    rows = cdiv(len(cells), COLUMNS)
    lines = [translate("operator, cases passed / cases that use it (with others, also such as byhand has not)"), ""]
    lines += ["  ".join(cells[i::rows]).rstrip() for i in range(rows)]
    known_head, all_head = translate("operators that byhand has"), translate("all of the suite")
    lines += ["", f"{'':20}{pad(known_head, 32, right=True)}{pad(all_head, 24, right=True)}"]
    for kind in (*KINDS, ""):
        mine = [result for result in results if result.case.kind == kind or not kind]
        known = [result for result in mine if result.case.known]
        lines.append(f"{pad(kind or translate('together'), 20)}{_fraction(known):>32}{_fraction(mine):>24}")
    wrong = [result for result in results if result.outcome == FAILED]
    lines += ["", *(translate(f"failed: {result.case.name}: {result.why[:150]}") for result in wrong)] if wrong else []
    return "\n".join(lines)


def _fraction(results: list[SuiteResult]) -> str:
    return f"{sum(result.outcome == PASSED for result in results):,} / {len(results):,}"


class KindCounts(TypedDict):
    """Cases of a kind that pass, and of how many; known: of those whose operators byhand reads."""

    passed: int
    cases: int
    known_passed: int
    known_cases: int


class Summary(TypedDict):
    """The version of the package onnx, whose suite it is, and the counts by kind."""

    onnx: str
    kinds: dict[str, KindCounts]


def summary(results: list[SuiteResult]) -> Summary:
    """Return the counts as plain numbers, by kind: passed, and of how many."""
    counts: dict[str, KindCounts] = {}
    for kind in KINDS:
        mine = [result for result in results if result.case.kind == kind]
        known = [result for result in mine if result.case.known]
        counts[kind] = {
            "passed": sum(result.outcome == PASSED for result in mine),
            "cases": len(mine),
            "known_passed": sum(result.outcome == PASSED for result in known),
            "known_cases": len(known),
        }
    return {"onnx": onnx.__version__, "kinds": counts}
