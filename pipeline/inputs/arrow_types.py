"""The one Arrow type of a column that has several: the narrowest that holds the values of all of them.

Only what can be cast without failing, whatever the values, is merged: whole numbers to int64, whole numbers and
fractions to float64 (of those beyond 2^53 the nearest), nulls to anything, lists and structs by what is in them.
"""

import pyarrow as pa

_SIGNED = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
_WHOLE = (*_SIGNED, pa.uint8(), pa.uint16(), pa.uint32())
_FRACTIONS = (pa.float16(), pa.float32(), pa.float64())
_TEXTS = (pa.string(), pa.large_string(), pa.string_view())
_BYTES = (pa.binary(), pa.large_binary(), pa.binary_view())


def wider(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """None if the two have no such type in common."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    both = {one, other}
    if both <= {*_WHOLE}:
        return pa.int64()
    if both <= {*_WHOLE, *_FRACTIONS}:
        return pa.float64()
    if both <= {*_TEXTS}:
        return pa.large_string()
    if both <= {*_BYTES}:
        return pa.large_binary()
    if pa.types.is_list(one) and pa.types.is_list(other):
        items = wider(one.value_type, other.value_type)
        return None if items is None else pa.list_(items)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        return _wider_struct(one, other)
    return None


def _wider_struct(one: pa.StructType, other: pa.StructType) -> pa.DataType | None:
    """The fields of both, in the order of the first."""
    fields = {field.name: field.type for field in one}
    for field in other:
        merged = wider(fields[field.name], field.type) if field.name in fields else field.type
        if merged is None:
            return None
        fields[field.name] = merged
    return pa.struct(list(fields.items()))


def without_views(found: pa.DataType) -> pa.DataType:
    """The type with the same values that Arrow's functions take rows of: those of views are in one buffer."""
    if found == pa.string_view():
        return pa.large_string()
    if found == pa.binary_view():
        return pa.large_binary()
    if pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found):
        inner = found.value_field.with_type(without_views(found.value_type))
        if pa.types.is_fixed_size_list(found):
            return pa.list_(inner, found.list_size)
        return pa.list_(inner) if pa.types.is_list(found) else pa.large_list(inner)
    if pa.types.is_struct(found):
        return pa.struct([field.with_type(without_views(field.type)) for field in found])
    return found


def without_nulls(found: pa.DataType) -> pa.DataType:
    """A type that Parquet can hold: what has only nulls is a string."""
    if pa.types.is_null(found):
        return pa.string()
    if pa.types.is_list(found):
        return pa.list_(without_nulls(found.value_type))
    if pa.types.is_struct(found):
        return pa.struct([(field.name, without_nulls(field.type)) for field in found])
    return found
