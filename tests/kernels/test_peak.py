"""The peak rate of the register tile."""

import pytest

from byhand.errors import ArgumentError
from byhand.kernels import mode, peak
from byhand.kernels.peak import peak_flops


@pytest.mark.skipif(mode() != "native", reason="a rate of machine code")
def test_the_register_tile_has_a_rate(monkeypatch):
    monkeypatch.setattr(peak, "MEASUREMENTS", 2)
    assert 1e8 < peak_flops() < 1e14


def test_a_precision_that_is_not_there_is_one_line(monkeypatch):
    with pytest.raises(ArgumentError, match="precision is 'int8'; expected one of float32, bf16"):
        peak_flops("int8")
    monkeypatch.setattr(peak, "has_bfloat16", lambda: False)
    with pytest.raises(ArgumentError, match="this CPU has no bfloat16 products; use float32"):
        peak_flops("bf16")
