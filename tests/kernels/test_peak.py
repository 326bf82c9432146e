"""The peak rate of the register tile."""

from dataclasses import replace

import pytest

from byhand.errors import ArgumentError
from byhand.kernels import mode, peak
from byhand.kernels.peak import peak_flops
from byhand.kernels.runtime.cpu import vector_unit


@pytest.mark.skipif(mode() != "native", reason="a rate of machine code")
def test_the_register_tile_has_a_rate(monkeypatch):
    monkeypatch.setattr(peak, "MEASUREMENTS", 2)
    assert 1e8 < peak_flops() < 1e14


def test_a_precision_that_is_not_there_is_one_line(monkeypatch):
    with pytest.raises(ArgumentError, match="precision is 'int8'; expected one of float32, bf16"):
        peak_flops("int8")
    unit = replace(vector_unit(), bfloat16=False)
    monkeypatch.setattr(peak, "vector_unit", lambda: unit)
    with pytest.raises(ArgumentError, match="this CPU has no bfloat16 products; use float32"):
        peak_flops("bf16")
