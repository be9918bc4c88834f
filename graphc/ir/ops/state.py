"""Inputs of a graph, and writes of variables."""

from __future__ import annotations

from typing import Any

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dim import Shape
from graphc.ir.op import State
from graphc.ir.requirement import Requirement, all_equal
from graphc.ir.types import DType, TensorType, u64


class Placeholder(State):
    """A value that the caller feeds."""

    dtype: DType
    shape: Shape

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(self.dtype, self.shape)


class Variable(State):
    """A value that a session keeps from run to run."""

    dtype: DType
    shape: Shape

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(self.dtype, self.shape)


class RunCounter(State):
    """The number of runs that the session has finished: what random ops draw from."""

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(u64, ())


class Assign(State):
    """Operands (variable, new).  Yields the new value; the variable takes it when the run ends."""

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        return all_equal(types[0].shape, types[1].shape)

    def infer(self, *types: TensorType) -> TensorType:
        variable, new = types
        if variable.rank != new.rank:
            raise ShapeError(f"assign: the variable is {variable}, the new value {new}")
        if variable.dtype != new.dtype:
            raise DTypeError(
                f"assign: the variable is {variable}, the new value {new}; use gc.astype on it"
            )
        return variable

    def reference(self, *arrays: Any) -> Any:
        return arrays[1]
