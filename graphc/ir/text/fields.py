"""Field values and types as text, and back."""

from __future__ import annotations

import base64
import re
from types import GenericAlias
from typing import Any

import numpy as np

from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.op import Op
from graphc.ir.ops.shape import Data
from graphc.ir.types import BY_NAME, DType, TensorType, tuple_of

MAX_PRINTED_ELEMENTS = 16  # data with more elements prints as base64
ANY_NUMBER = ("bool", "Number")  # annotations that a truth value fits
KINDS: dict[str, type | tuple[type, ...]] = {  # what the annotations of fields stand for
    "bool": bool,
    "int": int,
    "float": (int, float),
    "str": str,
    "Number": (bool, int, float),
    "Size": (int, dim.Dim),
    "DType": DType,
    "TensorType": TensorType,
    "Data": Data,
    "Graph": Graph,
}
# What would end a string or its line, and what begins an escape: printed as \uXXXX.
UNQUOTABLE = re.compile('[\x00-\x1f\x7f\x85\u2028\u2029"\\\\]')
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
        return '"' + UNQUOTABLE.sub(lambda m: f"\\u{ord(m[0]):04x}", value) + '"'
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
    """Split at the commas outside brackets and strings."""
    parts, depth, start, quote = [], 0, 0, ""
    for i, c in enumerate(text):
        if quote or c in "'\"":
            quote = (quote or c) if c != quote else ""
            continue
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
    if text == "None":
        return None
    if text == "…":
        raise ValueError("the data was left out when this was printed; print it in full")
    if text.startswith("["):
        return tuple(parse_value(t, like) for t in split(text[1:-1]))
    if text.startswith(("dense[", 'base64"')):
        return _parse_data(text, like)
    if text.startswith(("'", '"')):
        return _parse_string(text)
    if re.fullmatch(r"-?(inf|nan|\d+\.\d*(e[+-]?\d+)?|\d+e[+-]?\d+)", text):
        return float(text)
    return BY_NAME[text] if text in BY_NAME else dim.parse(text)


def _parse_string(text: str) -> str:
    if len(text) < 2 or text.find(text[0], 1) != len(text) - 1:
        raise ValueError(
            f"{text}: a string ends at its second quote; one inside is written \\u0022"
        )
    return re.sub(r"\\u([0-9a-f]{4})", lambda m: chr(int(m[1], 16)), text[1:-1])


def fits(value: Any, annotation: Any) -> bool:
    """Whether a parsed value is of the type that a field is annotated with.  What this module does
    not know (a user's own class) is left to the op.

    >>> fits((1, 2), "tuple[int, ...]"), fits((1, 0.5), "Shape"), fits(True, "int")
    (True, False, False)
    """
    plain = isinstance(annotation, type) and not isinstance(annotation, GenericAlias)
    text = str(annotation.__name__ if plain else annotation).strip()
    alternatives = text.split(" | ")
    if len(alternatives) > 1 and all(a.count("[") == a.count("]") for a in alternatives):
        return any(fits(value, a) for a in alternatives)
    if text == "Shape":
        text = "tuple[Size, ...]"
    if text.startswith("tuple["):
        return isinstance(value, tuple) and _all_fit(value, split(text[6:-1]))
    if text in ("None", "NoneType"):
        return value is None
    if text not in KINDS:
        return True
    return isinstance(value, KINDS[text]) and (isinstance(value, bool) <= (text in ANY_NUMBER))


def _all_fit(values: tuple[Any, ...], annotations: list[str]) -> bool:
    if annotations[-1:] == ["..."]:
        return all(fits(v, annotations[0]) for v in values)
    return len(values) == len(annotations) and all(map(fits, values, annotations))


def fitting(cls: type[Op], name: str, value: Any) -> Any:
    """The value itself, if a field of that kind may have it.  Raises `ValueError`."""
    kind = next(f.type for f in cls.fields() if f.name == name)
    if not fits(value, kind):
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
