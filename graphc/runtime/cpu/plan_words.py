"""The layout of a plan: what each 64-bit word of its tables is, by name.

The LLVM texts of the driver, of its loops and branches, and of its timers name words as Python
does: `i64 Word.CANCEL`.  `numbered` puts the numbers in, so that these enums are their only place.
"""

from __future__ import annotations

import enum
import re

from graphc.codegen.status import Status as Status


class Word(enum.IntEnum):
    """The head of a plan."""

    INSTRUCTIONS = 0
    COUNT = 1
    PATCHES = 2  # a table of `Patch`
    PATCH_COUNT = 3
    STATUS = 4  # address of the status words
    CANCEL = 5
    COMMIT = 6  # instructions from here on ignore `cancel`
    GATE = 7  # the run's ticket above `Gate.BITS`, and the number of helping threads inside below
    SIZE = 8


class Gate(enum.IntEnum):
    """The two parts of the word `Word.GATE`."""

    BITS = 16
    TICKET = 1 << 16
    HELPERS = (1 << 16) - 1


class ArrayHeader(enum.IntEnum):
    """Bytes from the start of a NumPy array object (PyArrayObject_fields)."""

    DATA = 16  # to the data pointer


class Patch(enum.IntEnum):
    """Where a run finds an array of the caller's, and who is told."""

    OBJECT = 0  # address of the word that holds the array object's address
    ARGUMENT = 1  # address of the argument word
    SIZE = 2


class Instruction(enum.IntEnum):
    """One kernel launch."""

    FUNCTION = 0
    ARGS = 1
    EXTENT = 2
    CHUNKS = 3
    NEXT = 4  # chunks claimed by threads so far
    DONE = 5  # chunks that have ended
    SIZE = 6


class CopyArgument(enum.IntEnum):
    """The arguments of the kernel that copies bytes."""

    TO = 0
    FROM = 1


class ControlArgument(enum.IntEnum):
    """The arguments of a kernel that runs instruction lists of its own."""

    BLOCK = 0  # a LoopBlock or a SwitchBlock
    STATUS = 1
    CANCEL = 2
    BUFFERS = 3  # the first of them


class BlockKind(enum.IntEnum):
    """The kinds of blocks: the first word of each."""

    LOOP = 0
    SWITCH = 1


class LoopBlock(enum.IntEnum):
    """Words of the block of a loop.  A place is a buffer's number among the arguments."""

    KIND = 0  # BlockKind.LOOP
    STEPS = 1  # place of the number of steps
    LENGTH = 2  # at most so many steps; -1: any number
    REVERSE = 3
    FLAG = 4  # place of the truth value that a step needs; 0: none
    COUNT = 5  # place of the number of steps made
    COPIES = 6  # a table of `Carry`: the first carries
    COPY_COUNT = 7
    PATCHES = 8  # a table of `StepPatch`
    PATCH_COUNT = 9
    INSTRUCTIONS = 10
    INSTRUCTION_COUNT = 11
    ROWS = 12  # a table of `ResultRow`: what no step wrote is cleared
    ROW_COUNT = 13
    SIZE = 14


class SwitchBlock(enum.IntEnum):
    """Words of the block of a switch."""

    KIND = 0  # BlockKind.SWITCH
    INDEX = 1  # place of the index
    COUNT = 2  # of branches
    BRANCHES = 3  # a table of `Branch`
    COPIES = 4  # a table of `Carry`: what branches update
    COPY_COUNT = 5
    SIZE = 6


class Branch(enum.IntEnum):
    """One branch of a switch."""

    PATCHES = 0  # a table of `StepPatch`
    PATCH_COUNT = 1
    INSTRUCTIONS = 2
    INSTRUCTION_COUNT = 3
    SIZE = 4


class Carry(enum.IntEnum):
    """A copy from buffer to buffer before the first step, or before a branch."""

    TO = 0  # place
    FROM = 1  # place
    BYTES = 2
    SIZE = 3


class StepPatch(enum.IntEnum):
    """An argument word that each step points at a buffer."""

    PLACE = 0
    ARGUMENT = 1  # address of the argument word
    STRIDE = 2  # bytes that it moves with each step
    SIZE = 3


class ResultRow(enum.IntEnum):
    """A result to which each step adds a row."""

    PLACE = 0
    BYTES = 1  # of a row
    SIZE = 2


class Timer(enum.IntEnum):
    """What stands between an instruction and its kernel.  Times are nanoseconds."""

    FUNCTION = 0
    ARGS = 1
    LOG = 2
    NUMBER = 3
    CALLS = 4
    TOTAL = 5
    FIRST = 6  # when the first call began
    LAST = 7  # when the last one ended
    SIZE = 8


class LogHead(enum.IntEnum):
    """The head of a log: a table of `Event` follows."""

    CALLS = 0  # how many there were
    ROOM = 1  # for how many events there is
    SIZE = 2


class Event(enum.IntEnum):
    """One call in a log."""

    NUMBER = 0
    START = 1
    END = 2
    THREAD = 3
    SIZE = 4


def numbered(text: str) -> str:
    """LLVM text with numbers for the words it names: `Word.CANCEL` becomes `5`.

    A name that no enum here has is a KeyError.
    """
    tables = globals()
    return re.sub(r"\b([A-Z][A-Za-z]*)\.([A-Z_]+)\b", lambda m: str(tables[m[1]][m[2]].value), text)
