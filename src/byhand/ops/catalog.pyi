"""The types of the ops, written by scripts/make_op_stubs.py."""

from collections.abc import Sequence
from typing import overload

import numpy.typing as npt

from byhand.graph import Tensor
from byhand.ops.op import Array, Op

class _abs(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

abs: _abs

class _add(Op):
    @overload  # type: ignore[override]
    def __call__(self, a: Tensor, b: Tensor) -> Tensor: ...
    @overload
    def __call__(self, a: npt.ArrayLike, b: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        *,
        hand: str = "compiled",
    ) -> tuple[Array, Array]: ...

add: _add

class _avg_pool(Op):
    @overload  # type: ignore[override]
    def __call__(
        self,
        x: Tensor,
        *,
        kernel: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | str | Sequence[int] = "valid",
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        kernel: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | str | Sequence[int] = "valid",
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        kernel: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | str | Sequence[int] = "valid",
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        hand: str = "compiled",
    ) -> Array: ...

avg_pool: _avg_pool

class _batch_norm(Op):
    @overload  # type: ignore[override]
    def __call__(
        self,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        *,
        eps: float = 1e-05,
        momentum: float = 0.1,
        training: bool = False,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        gamma: npt.ArrayLike,
        beta: npt.ArrayLike,
        running_mean: npt.ArrayLike,
        running_var: npt.ArrayLike,
        *,
        eps: float = 1e-05,
        momentum: float = 0.1,
        training: bool = False,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        gamma: npt.ArrayLike,
        beta: npt.ArrayLike,
        running_mean: npt.ArrayLike,
        running_var: npt.ArrayLike,
        *,
        eps: float = 1e-05,
        momentum: float = 0.1,
        training: bool = False,
        hand: str = "compiled",
    ) -> tuple[Array, Array, Array]: ...

batch_norm: _batch_norm

class _batch_norm_relu(Op):
    @overload  # type: ignore[override]
    def __call__(
        self,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        shortcut: Tensor | None = None,
        *,
        eps: float = 1e-05,
        momentum: float = 0.1,
        training: bool = False,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        gamma: npt.ArrayLike,
        beta: npt.ArrayLike,
        running_mean: npt.ArrayLike,
        running_var: npt.ArrayLike,
        shortcut: npt.ArrayLike | None = None,
        *,
        eps: float = 1e-05,
        momentum: float = 0.1,
        training: bool = False,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        gamma: npt.ArrayLike,
        beta: npt.ArrayLike,
        running_mean: npt.ArrayLike,
        running_var: npt.ArrayLike,
        shortcut: npt.ArrayLike | None = None,
        *,
        eps: float = 1e-05,
        momentum: float = 0.1,
        training: bool = False,
        hand: str = "compiled",
    ) -> tuple[Array, Array, Array, Array]: ...

batch_norm_relu: _batch_norm_relu

class _celu(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, alpha: float = 1.0) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, alpha: float = 1.0, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        alpha: float = 1.0,
        hand: str = "compiled",
    ) -> Array: ...

celu: _celu

class _channel_shuffle(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, groups: int) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, groups: int, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, groups: int, hand: str = "compiled") -> Array: ...  # type: ignore[override]

channel_shuffle: _channel_shuffle

class _clip(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, low: float | None = None, high: float | None = None) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        low: float | None = None,
        high: float | None = None,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        low: float | None = None,
        high: float | None = None,
        hand: str = "compiled",
    ) -> Array: ...

clip: _clip

class _concat(Op):
    @overload  # type: ignore[override]
    def __call__(self, xs: Sequence[Tensor], *, axis: int = -1) -> Tensor: ...
    @overload
    def __call__(self, xs: Sequence[npt.ArrayLike], *, axis: int = -1, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        xs: Sequence[npt.ArrayLike],
        *,
        axis: int = -1,
        hand: str = "compiled",
    ) -> tuple[Array, ...]: ...

concat: _concat

class _conv2d(Op):
    @overload  # type: ignore[override]
    def __call__(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        hand: str = "compiled",
    ) -> tuple[Array, Array, Array]: ...

conv2d: _conv2d

class _conv2d_block(Op):
    @overload  # type: ignore[override]
    def __call__(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        gamma: Tensor | None = None,
        beta: Tensor | None = None,
        running_mean: Tensor | None = None,
        running_var: Tensor | None = None,
        shortcut: Tensor | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        eps: float = 1e-05,
        activation: str | None = None,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        gamma: npt.ArrayLike | None = None,
        beta: npt.ArrayLike | None = None,
        running_mean: npt.ArrayLike | None = None,
        running_var: npt.ArrayLike | None = None,
        shortcut: npt.ArrayLike | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        eps: float = 1e-05,
        activation: str | None = None,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        gamma: npt.ArrayLike | None = None,
        beta: npt.ArrayLike | None = None,
        running_mean: npt.ArrayLike | None = None,
        running_var: npt.ArrayLike | None = None,
        shortcut: npt.ArrayLike | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        eps: float = 1e-05,
        activation: str | None = None,
        hand: str = "compiled",
    ) -> tuple[Array, Array, Array, Array, Array, Array]: ...

conv2d_block: _conv2d_block

class _conv2d_max_pool(Op):
    @overload  # type: ignore[override]
    def __call__(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        relu: bool = False,
        pool_kernel: int | Sequence[int],
        pool_stride: int | Sequence[int] | None = None,
        pool_padding: int | str | Sequence[int] = "valid",
        pool_dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        relu: bool = False,
        pool_kernel: int | Sequence[int],
        pool_stride: int | Sequence[int] | None = None,
        pool_padding: int | str | Sequence[int] = "valid",
        pool_dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        relu: bool = False,
        pool_kernel: int | Sequence[int],
        pool_stride: int | Sequence[int] | None = None,
        pool_padding: int | str | Sequence[int] = "valid",
        pool_dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        hand: str = "compiled",
    ) -> tuple[Array, Array, Array]: ...

conv2d_max_pool: _conv2d_max_pool

class _conv2d_relu(Op):
    @overload  # type: ignore[override]
    def __call__(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        hand: str = "compiled",
    ) -> tuple[Array, Array, Array]: ...

conv2d_relu: _conv2d_relu

class _conv_transpose2d(Op):
    @overload  # type: ignore[override]
    def __call__(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        hand: str = "compiled",
    ) -> tuple[Array, Array, Array]: ...

conv_transpose2d: _conv_transpose2d

class _divide(Op):
    @overload  # type: ignore[override]
    def __call__(self, a: Tensor, b: Tensor) -> Tensor: ...
    @overload
    def __call__(self, a: npt.ArrayLike, b: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        *,
        hand: str = "compiled",
    ) -> tuple[Array, Array]: ...

divide: _divide

class _dropout(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, key: Tensor, *, rate: float = 0.5, training: bool = True) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        key: npt.ArrayLike,
        *,
        rate: float = 0.5,
        training: bool = True,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        key: npt.ArrayLike,
        *,
        rate: float = 0.5,
        training: bool = True,
        hand: str = "compiled",
    ) -> Array: ...

dropout: _dropout

class _elu(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, alpha: float = 1.0) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, alpha: float = 1.0, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        alpha: float = 1.0,
        hand: str = "compiled",
    ) -> Array: ...

elu: _elu

class _erf(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

erf: _erf

class _exp(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

exp: _exp

class _flatten(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

flatten: _flatten

class _gelu(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

gelu: _gelu

class _global_avg_pool(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, keepdims: bool = False) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, keepdims: bool = False, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...

global_avg_pool: _global_avg_pool

class _hard_sigmoid(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, alpha: float = 0.16666666666666666, beta: float = 0.5) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        alpha: float = 0.16666666666666666,
        beta: float = 0.5,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        alpha: float = 0.16666666666666666,
        beta: float = 0.5,
        hand: str = "compiled",
    ) -> Array: ...

hard_sigmoid: _hard_sigmoid

class _hard_swish(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

hard_swish: _hard_swish

class _layer_norm(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, gamma: Tensor, beta: Tensor, *, eps: float = 1e-05) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        gamma: npt.ArrayLike,
        beta: npt.ArrayLike,
        *,
        eps: float = 1e-05,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        gamma: npt.ArrayLike,
        beta: npt.ArrayLike,
        *,
        eps: float = 1e-05,
        hand: str = "compiled",
    ) -> tuple[Array, Array, Array]: ...

layer_norm: _layer_norm

class _leaky_relu(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, slope: float = 0.01) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, slope: float = 0.01, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        slope: float = 0.01,
        hand: str = "compiled",
    ) -> Array: ...

leaky_relu: _leaky_relu

class _linear(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        hand: str = "compiled",
    ) -> tuple[Array, Array, Array]: ...

linear: _linear

class _linear_relu(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        hand: str = "compiled",
    ) -> tuple[Array, Array, Array]: ...

linear_relu: _linear_relu

class _log(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

log: _log

class _lrn(Op):
    @overload  # type: ignore[override]
    def __call__(
        self,
        x: Tensor,
        *,
        size: int,
        alpha: float = 0.0001,
        beta: float = 0.75,
        bias: float = 1.0,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        size: int,
        alpha: float = 0.0001,
        beta: float = 0.75,
        bias: float = 1.0,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        size: int,
        alpha: float = 0.0001,
        beta: float = 0.75,
        bias: float = 1.0,
        hand: str = "compiled",
    ) -> Array: ...

lrn: _lrn

class _max_pool(Op):
    @overload  # type: ignore[override]
    def __call__(
        self,
        x: Tensor,
        *,
        kernel: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        kernel: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        kernel: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | str | Sequence[int] = "valid",
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        hand: str = "compiled",
    ) -> Array: ...

max_pool: _max_pool

class _maximum(Op):
    @overload  # type: ignore[override]
    def __call__(self, a: Tensor, b: Tensor) -> Tensor: ...
    @overload
    def __call__(self, a: npt.ArrayLike, b: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        *,
        hand: str = "compiled",
    ) -> tuple[Array, Array]: ...

maximum: _maximum

class _minimum(Op):
    @overload  # type: ignore[override]
    def __call__(self, a: Tensor, b: Tensor) -> Tensor: ...
    @overload
    def __call__(self, a: npt.ArrayLike, b: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        *,
        hand: str = "compiled",
    ) -> tuple[Array, Array]: ...

minimum: _minimum

class _mse_loss(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, targets: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, targets: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        targets: npt.ArrayLike,
        *,
        hand: str = "compiled",
    ) -> Array: ...

mse_loss: _mse_loss

class _multiply(Op):
    @overload  # type: ignore[override]
    def __call__(self, a: Tensor, b: Tensor) -> Tensor: ...
    @overload
    def __call__(self, a: npt.ArrayLike, b: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        *,
        hand: str = "compiled",
    ) -> tuple[Array, Array]: ...

multiply: _multiply

class _neg(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

neg: _neg

class _pad(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, padding: int | str | Sequence[int], value: float = 0.0) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        padding: int | str | Sequence[int],
        value: float = 0.0,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        padding: int | str | Sequence[int],
        value: float = 0.0,
        hand: str = "compiled",
    ) -> Array: ...

pad: _pad

class _power(Op):
    @overload  # type: ignore[override]
    def __call__(self, a: Tensor, b: Tensor) -> Tensor: ...
    @overload
    def __call__(self, a: npt.ArrayLike, b: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        *,
        hand: str = "compiled",
    ) -> tuple[Array, Array]: ...

power: _power

class _prelu(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, slope: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, slope: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        slope: npt.ArrayLike,
        *,
        hand: str = "compiled",
    ) -> tuple[Array, Array]: ...

prelu: _prelu

class _reciprocal(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

reciprocal: _reciprocal

class _reduce_l1(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...

reduce_l1: _reduce_l1

class _reduce_l2(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...

reduce_l2: _reduce_l2

class _reduce_log_sum(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...

reduce_log_sum: _reduce_log_sum

class _reduce_log_sum_exp(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...

reduce_log_sum_exp: _reduce_log_sum_exp

class _reduce_max(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...

reduce_max: _reduce_max

class _reduce_mean(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...

reduce_mean: _reduce_mean

class _reduce_min(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...

reduce_min: _reduce_min

class _reduce_prod(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...

reduce_prod: _reduce_prod

class _reduce_sum(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...

reduce_sum: _reduce_sum

class _reduce_sum_square(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        axes: int | Sequence[int] | None = None,
        keepdims: bool = False,
        hand: str = "compiled",
    ) -> Array: ...

reduce_sum_square: _reduce_sum_square

class _relu(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

relu: _relu

class _relu6(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

relu6: _relu6

class _reshape(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, shape: Sequence[int]) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, shape: Sequence[int], hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        shape: Sequence[int],
        hand: str = "compiled",
    ) -> Array: ...

reshape: _reshape

class _resize(Op):
    @overload  # type: ignore[override]
    def __call__(
        self,
        x: Tensor,
        *,
        size: int | Sequence[int],
        mode: str = "nearest",
        coordinates: str = "half_pixel",
        nearest: str = "round_prefer_floor",
        cubic_a: float = -0.75,
        exclude_outside: bool = False,
        antialias: bool = False,
        scales: float | Sequence[float] | None = None,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        size: int | Sequence[int],
        mode: str = "nearest",
        coordinates: str = "half_pixel",
        nearest: str = "round_prefer_floor",
        cubic_a: float = -0.75,
        exclude_outside: bool = False,
        antialias: bool = False,
        scales: float | Sequence[float] | None = None,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        size: int | Sequence[int],
        mode: str = "nearest",
        coordinates: str = "half_pixel",
        nearest: str = "round_prefer_floor",
        cubic_a: float = -0.75,
        exclude_outside: bool = False,
        antialias: bool = False,
        scales: float | Sequence[float] | None = None,
        hand: str = "compiled",
    ) -> Array: ...

resize: _resize

class _selu(Op):
    @overload  # type: ignore[override]
    def __call__(
        self,
        x: Tensor,
        *,
        alpha: float = 1.6732632423543772,
        gamma: float = 1.0507009873554805,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        alpha: float = 1.6732632423543772,
        gamma: float = 1.0507009873554805,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        alpha: float = 1.6732632423543772,
        gamma: float = 1.0507009873554805,
        hand: str = "compiled",
    ) -> Array: ...

selu: _selu

class _sigmoid(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

sigmoid: _sigmoid

class _sigmoid_cross_entropy(Op):
    @overload  # type: ignore[override]
    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor: ...
    @overload
    def __call__(self, logits: npt.ArrayLike, targets: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        logits: npt.ArrayLike,
        targets: npt.ArrayLike,
        *,
        hand: str = "compiled",
    ) -> Array: ...

sigmoid_cross_entropy: _sigmoid_cross_entropy

class _silu(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

silu: _silu

class _slice(Op):
    @overload  # type: ignore[override]
    def __call__(
        self,
        x: Tensor,
        *,
        starts: Sequence[int],
        stops: Sequence[int],
        axes: Sequence[int] | None = None,
        steps: Sequence[int] | None = None,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: npt.ArrayLike,
        *,
        starts: Sequence[int],
        stops: Sequence[int],
        axes: Sequence[int] | None = None,
        steps: Sequence[int] | None = None,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        starts: Sequence[int],
        stops: Sequence[int],
        axes: Sequence[int] | None = None,
        steps: Sequence[int] | None = None,
        hand: str = "compiled",
    ) -> Array: ...

slice: _slice

class _soft_target_cross_entropy(Op):
    @overload  # type: ignore[override]
    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor: ...
    @overload
    def __call__(self, logits: npt.ArrayLike, targets: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        logits: npt.ArrayLike,
        targets: npt.ArrayLike,
        *,
        hand: str = "compiled",
    ) -> Array: ...

soft_target_cross_entropy: _soft_target_cross_entropy

class _softmax(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

softmax: _softmax

class _softmax_cross_entropy(Op):
    @overload  # type: ignore[override]
    def __call__(self, logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor: ...
    @overload
    def __call__(
        self,
        logits: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        label_smoothing: float = 0.0,
        hand: str = "compiled",
    ) -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        logits: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        label_smoothing: float = 0.0,
        hand: str = "compiled",
    ) -> Array: ...

softmax_cross_entropy: _softmax_cross_entropy

class _softplus(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

softplus: _softplus

class _softsign(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

softsign: _softsign

class _sqrt(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

sqrt: _sqrt

class _subtract(Op):
    @overload  # type: ignore[override]
    def __call__(self, a: Tensor, b: Tensor) -> Tensor: ...
    @overload
    def __call__(self, a: npt.ArrayLike, b: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        *,
        hand: str = "compiled",
    ) -> tuple[Array, Array]: ...

subtract: _subtract

class _tanh(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...
    def backward(self, grad: npt.ArrayLike, x: npt.ArrayLike, *, hand: str = "compiled") -> Array: ...  # type: ignore[override]

tanh: _tanh

class _transpose(Op):
    @overload  # type: ignore[override]
    def __call__(self, x: Tensor, *, axes: Sequence[int]) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, axes: Sequence[int], hand: str = "compiled") -> Array: ...
    def backward(  # type: ignore[override]
        self,
        grad: npt.ArrayLike,
        x: npt.ArrayLike,
        *,
        axes: Sequence[int],
        hand: str = "compiled",
    ) -> Array: ...

transpose: _transpose
