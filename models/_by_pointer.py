"""Named tuples of arrays that compiled code takes as one pointer.

numba hands a tuple over by value. An array is seven numbers, so a book of 46 columns is taken out of Python as 46
arrays at every call, and each function inside hands on more than three hundred numbers: the calls of one account cost
more than its work, and compiling them more than compiling the rest. A tuple of a class under `by_pointer` writes the
addresses and shapes of its arrays to a table, once. Kernels get the address of the table, and ``b.unit_cash`` in a
kernel reads its column from there. To Python it stays a named tuple.

Notes
-----
Kernels cannot make such a tuple, and must not return one of its arrays: they hold no reference to them. Copies and
pickles leave the table behind and make their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate
from numba.extending import NativeValue, infer_getattr, intrinsic, models, register_model, typeof_impl, unbox
from numba.np.arrayobj import make_array, populate_array

from models.typing import IntArray

__all__ = ["by_pointer"]

T = TypeVar("T", bound=tuple[Any, ...])
_WORD = cgutils.intp_t
_HEAD = 2  # words of a table before the fields
_WORDS = 5  # of each field: its address, and its shape of up to 4 dimensions


class PointerType(types.Type):
    """The type of a tuple in compiled code.

    Parameters
    ----------
    cls : type
        Class of the tuple.
    arrays : sequence of numba.types.Array
        Types of its fields, C-contiguous.
    """

    def __init__(self, cls: type[Any], arrays: Sequence[types.Array]) -> None:
        self.cls = cls
        self.arrays = tuple(types.Array(a.dtype, a.ndim, "C") for a in arrays)
        super().__init__(f"{cls.__module__}.{cls.__qualname__}.{_kind(arrays):x}")

    def place(self, name: str) -> tuple[int, types.Array]:
        """Where in the table the address of a field stands, its shape behind it; and the type of the field."""
        i = self.cls._fields.index(name)
        return _HEAD + _WORDS * i, self.arrays[i]


register_model(PointerType)(models.OpaqueModel)


def _kind(arrays: Sequence[types.Array]) -> int:
    """Tell lists of fields apart by a number: by what they hold, and their dimensions."""
    names = " ".join(f"{a.dtype}/{a.ndim}" for a in arrays)
    return int.from_bytes(hashlib.sha256(names.encode()).digest()[:7], "big")


class _Table:
    """What `by_pointer` adds to a class."""

    _types: ClassVar[dict[int, PointerType]]

    @property
    def _table(self) -> IntArray:
        """The address of the table itself, the kind of all fields, then address and shape of each."""
        kept: IntArray | None = self.__dict__.get("_kept")
        if kept is None:
            fields: Any = self
            table = np.empty(_HEAD + _WORDS * len(fields), np.int64)
            _fill(table, *fields)
            kept = self.__dict__.setdefault("_kept", table)  # of two threads the first one's
        return kept

    @cached_property
    def _address(self) -> int:
        """What kernels get."""
        return int(self._table[0])

    @cached_property
    def _numba_type_(self) -> PointerType:
        """Where numba looks for the type of a value."""
        kind = int(self._table[1])
        if kind not in self._types:
            fields: Any = self
            self._types.setdefault(kind, PointerType(type(self), [typeof_impl(a, None) for a in fields]))
        return self._types[kind]

    @property
    def _asdict(self) -> Any:
        """Absent: numba takes what has it for a tuple, and would look at each field at each call."""
        raise AttributeError("_asdict")

    def __getstate__(self) -> None:
        """Leave the table behind when the tuple is copied or pickled."""


@typeof_impl.register(_Table)
def _typeof(value: _Table, context: Any) -> PointerType:
    return value._numba_type_


def by_pointer(cls: type[T]) -> type[T]:
    """Make a class of named tuples that compiled code takes as one pointer.

    Parameters
    ----------
    cls : type
        A `typing.NamedTuple` of C-contiguous arrays.

    Returns
    -------
    type
        The same to Python, without ``_asdict``.

    Examples
    --------
    >>> from typing import NamedTuple
    >>> @by_pointer
    ... class Pair(NamedTuple):
    ...     left: np.ndarray
    ...     right: np.ndarray
    >>> @njit
    ... def total(pair):
    ...     return pair.left.sum() + pair.right[0, 1]
    >>> total(Pair(np.ones(3), np.array([[5.0, 7.0]])))
    10.0
    """
    names = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
    made: Any = type(cls.__name__, (_Table, cls), {**names, "_types": {}})
    return made


@unbox(PointerType)
def _unbox(typ: PointerType, value: Any, c: Any) -> NativeValue:
    pointer = cgutils.alloca_once_value(c.builder, cgutils.get_null_value(cgutils.voidptr_t))
    number = c.pyapi.object_getattr_string(value, "_address")
    with cgutils.if_likely(c.builder, cgutils.is_not_null(c.builder, number)):
        c.builder.store(c.pyapi.long_as_voidptr(number), pointer)
        c.pyapi.decref(number)
    return NativeValue(c.builder.load(pointer), is_error=c.pyapi.c_api_error())


@infer_getattr
class _Fields(AttributeTemplate):
    key = PointerType

    def generic_resolve(self, typ: PointerType, name: str) -> types.Array | None:
        """Type of a field."""
        return typ.place(name)[1] if name in typ.cls._fields else None


@lower_getattr_generic(PointerType)
def _field(context: Any, builder: Any, typ: PointerType, pointer: Any, name: str) -> Any:
    """Read address and shape of a field; nothing ever writes to the table, so a loop reads it once."""
    at, member = typ.place(name)

    def read(i: int, kind: Any) -> Any:
        slot = builder.gep(builder.bitcast(pointer, _WORD.as_pointer()), [_WORD(at + i)])
        value = builder.load(builder.bitcast(slot, kind.as_pointer()))
        value.set_metadata("invariant.load", builder.module.add_metadata([]))
        return value

    array = make_array(member)(context, builder)
    size = _WORD(context.get_abi_sizeof(context.get_data_type(member.dtype)))
    shape = [read(1 + i, _WORD) for i in range(member.ndim)]
    strides = [size]
    for length in shape[:0:-1]:
        strides.insert(0, builder.mul(strides[0], length))
    populate_array(array, read(0, array.data.type), shape, strides, size, None)
    return array._getvalue()


@intrinsic
def _write(typing_context: Any, table: Any, arrays: Any) -> Any:
    """Write a table."""
    for i, array in enumerate(arrays):
        if not isinstance(array, types.Array) or array.layout != "C" or array.ndim >= _WORDS:
            raise TypeError(f"field {i}: expected a C-contiguous array of up to 4 dimensions, was {array}")

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        out = make_array(table)(context, builder, values[0]).data
        words = {0: builder.ptrtoint(out, _WORD), 1: _WORD(_kind(tuple(arrays)))}
        for i, typ in enumerate(arrays):
            array = make_array(typ)(context, builder, builder.extract_value(values[1], i))
            field = [builder.ptrtoint(array.data, _WORD), *cgutils.unpack_tuple(builder, array.shape)]
            words.update(enumerate(field, _HEAD + _WORDS * i))
        for i, word in words.items():
            builder.store(word, builder.gep(out, [_WORD(i)]))
        return context.get_dummy_value()

    return types.void(table, arrays), code


@njit(cache=True)
def _fill(table: IntArray, *arrays: Any) -> None:
    _write(table, arrays)
