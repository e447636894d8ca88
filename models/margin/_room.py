"""Room on the stack for kernels, which must not allocate."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

__all__ = ["room"]

_DOUBLE = 8


@intrinsic
def room(typingctx: Any, rows: Any, columns: Any) -> Any:
    """Give an array of doubles, shape (rows, columns), not filled, that is gone when the kernel that asked returns.

    Parameters
    ----------
    typingctx : object
        Filled in by the compiler.
    rows, columns : int
        Shape; some ten thousand doubles at most, the stack of a thread may be half a megabyte.

    Returns
    -------
    ndarray of float, shape (rows, columns)
        C-contiguous. It may be handed on to other kernels, not returned.
    """
    kind = types.Array(types.float64, 2, "C")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        shape = [
            context.cast(builder, value, of, types.intp) for value, of in zip(arguments, signature.args, strict=True)
        ]
        data = builder.alloca(ir.DoubleType(), size=builder.mul(*shape))
        item = context.get_constant(types.intp, _DOUBLE)
        array = make_array(kind)(context, builder)
        strides = [builder.mul(shape[1], item), item]
        populate_array(array, data, shape, strides, item, meminfo=None)
        return array._getvalue()

    del typingctx
    return kind(rows, columns), generate
