"""What a checked build of a hand-written kernel can find, and where.

A kernel tells by one word what went wrong: the `code` of a `Site`, which its text holds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from graphc.errors import Location
from graphc.ir.types import TensorType


@dataclass(frozen=True)
class Site:
    """A fault that a kernel looks for: `fault` says it of an {index}, a {size} and an {element} of
    the result; {below} stands for what is to be known of a computed index below 0."""

    kernel: str
    fault: str
    loc: Location | None = None

    @property
    def code(self) -> int:
        """A positive number that tells this site from others."""
        text = repr((self.kernel, self.fault, str(self.loc)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big") | 1


@dataclass(frozen=True)
class CheckedSource:
    """The source of a kernel whose accesses may be checked already: a place that is the result of
    `inside` or `written_at` is.  `share` are expressions for the first element that a call writes
    and the number of them; without, one call writes everything."""

    text: str
    sites: tuple[Site, ...] = ()
    share: tuple[str, str] | None = None


class KnowsPlaces:
    """An op with a kernel of its own that checks its accesses axis by axis."""

    def checked_source(self, out: TensorType, *types: TensorType) -> CheckedSource:
        """As `Opaque.source`, with checks."""
        raise NotImplementedError
