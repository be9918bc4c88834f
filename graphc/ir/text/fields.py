"""Field values and types as text, and back."""

from __future__ import annotations

import base64
import re
from typing import Any

import numpy as np

from graphc.ir import dim
from graphc.ir.op import Op
from graphc.ir.ops.shape import Data
from graphc.ir.types import BY_NAME, DType, TensorType, tuple_of

MAX_PRINTED_ELEMENTS = 16  # data with more elements prints as base64
TYPE = r"[a-z]\w*\[[^\]]*\]"
TYPES = rf"{TYPE}|\((?:{TYPE}(?:, )?)*\)"


def show(value: Any) -> str:
    """A field value as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(show, value)) + "]"
    if isinstance(value, Data):
        return _show_data(value)
    if isinstance(value, str):
        return f'"{value}"'
    return repr(value) if isinstance(value, float) else str(value)


def _show_data(value: Data) -> str:
    array = value.array
    if array.size > MAX_PRINTED_ELEMENTS or array.dtype.kind not in "iub":
        return f'base64"{base64.b64encode(array.tobytes()).decode()}"'
    return "dense[" + ", ".join(str(x).lower() for x in array.ravel().tolist()) + "]"


def parse_type(text: str) -> TensorType:
    """`f32[n,784]`, or several in parentheses, as a type.  Raises `ValueError`."""
    if text.startswith("("):
        return tuple_of(parse_type(t) for t in split(text[1:-1]))
    name, _, sizes = text.partition("[")
    if name not in BY_NAME:
        raise ValueError(f"{name!r} is not an element type; use one of {', '.join(BY_NAME)}")
    inside = sizes.removesuffix("]").strip()
    shape = tuple(dim.parse(s) for s in split(inside)) if inside else ()
    if any(isinstance(s, int) and s < 0 for s in shape):
        raise ValueError(f"{text}: a size is negative")
    return TensorType(BY_NAME[name], shape)


def split(text: str) -> list[str]:
    """Split at the commas outside brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "[(" and 1) or (c in "])" and -1)
        if c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [*parts, text[start:].strip()] if text.strip() else []


def parse_value(text: str, like: TensorType) -> Any:
    """A field value; `like` is the type of the line, which arrays take."""
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    if text == "…":
        raise ValueError("the data was left out when this was printed; print it in full")
    if text.startswith("["):
        return tuple(parse_value(t, like) for t in split(text[1:-1]))
    if text.startswith(("dense[", 'base64"')):
        return _parse_data(text, like)
    if text[:1] in "'\"":
        return text[1:-1]
    if re.fullmatch(r"-?(inf|nan|\d+\.\d*(e[+-]?\d+)?|\d+e[+-]?\d+)", text):
        return float(text)
    return BY_NAME[text] if text in BY_NAME else dim.parse(text)


KINDS: dict[str, tuple[type, ...]] = {  # a field's kind -> what such a value, or element, may be
    "int": (int,),
    "bool": (bool,),
    "str": (str,),
    "Size": (int, dim.Dim),
    "Data": (Data,),
    "DType": (DType,),
    "Number": (bool, int, float),
}
TUPLES = {"Shape": "Size", **{f"tuple[{kind}, ...]": kind for kind in KINDS}}


def fitting(cls: type[Op], name: str, value: Any) -> Any:
    """The value itself, if a field of that kind may have it.  Raises `ValueError`."""
    kind = next(str(f.type) for f in cls.fields() if f.name == name)
    allowed = KINDS.get(TUPLES.get(kind, kind))
    if allowed is None:  # a kind of an author's own
        return value
    elements = value if isinstance(value, tuple) else (value,)
    wrong = [
        e
        for e in elements
        if not isinstance(e, allowed) or (type(e) is bool and bool not in allowed)
    ]
    if isinstance(value, tuple) is not (kind in TUPLES) or wrong:
        raise ValueError(f"{cls.name}: field {name!r} is {show(value)}; expected {kind}")
    return value


def _parse_data(text: str, like: TensorType) -> Data:
    dtype = like.dtype.numpy
    shape = dim.numbers(like.shape, {})
    if text.startswith("dense["):
        values = [parse_value(t, like) for t in split(text[6:-1])]
        wrong = [v for v in values if not isinstance(v, int | float)]
        if wrong or not (like.dtype.is_float or np.array(values, dtype).tolist() == values):
            raise ValueError(f"these are not {like.dtype} elements: {show(tuple(values))}")
        return Data(np.array(values, dtype).reshape(shape))
    raw = base64.b64decode(text[7:-1], validate=True)
    return Data(np.frombuffer(raw, dtype).reshape(shape))
