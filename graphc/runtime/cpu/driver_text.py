"""The driver's instruction loop as LLVM text, and the pieces it shares with loops and branches.

The text names words of tables as `plan_words.py` does.  `driver.py` calls `gc_run`, `gc_reset`,
`gc_join`, `gc_lead` and `gc_copy`.
"""

from __future__ import annotations

from graphc.runtime.cpu.plan_words import numbered


def each(count: str, body: str, last: str = "body") -> str:
    """A loop with `%i` from 0 to `count`: blocks from `head`, after `entry`, to `end`.

    `body` begins in the block `body` and ends, without a branch, in the block `last`.
    """
    return f"""
head:
  %i = phi i64 [0, %entry], [%i2, %{last}]
  %more = icmp slt i64 %i, {count}
  br i1 %more, label %body, label %end
body:
  {body.strip()}
  %i2 = add i64 %i, 1
  br label %head
end:
"""


def each_instruction(body: str, last: str = "body") -> str:
    """A loop over the instructions of `%plan`, from within `entry` on: `body` finds `%ins`."""
    return """
  %first = call ptr @at(ptr %plan, i64 Word.INSTRUCTIONS)
  %n = call i64 @word(ptr %plan, i64 Word.COUNT)
  br label %head
""" + each(
        "%n",
        "%ins = call ptr @row(ptr %first, i64 %i, i64 Instruction.SIZE)\n" + body.strip("\n"),
        last,
    )


# A word of a table, the address that a word is, and a row of a table with rows of `size` words.
TABLES_IR = """
define internal i64 @word(ptr %table, i64 %i) alwaysinline {
  %p = getelementptr i64, ptr %table, i64 %i
  %v = load i64, ptr %p
  ret i64 %v
}

define internal ptr @at(ptr %table, i64 %i) alwaysinline {
  %v = call i64 @word(ptr %table, i64 %i)
  %p = inttoptr i64 %v to ptr
  ret ptr %p
}

define internal ptr @row(ptr %table, i64 %i, i64 %size) alwaysinline {
  %o = mul i64 %i, %size
  %p = getelementptr i64, ptr %table, i64 %o
  ret ptr %p
}
"""

# One launch, and what comes before the first: the callers' arrays are found.
LAUNCH_IR = (
    """
define internal void @launch(ptr %ins, i64 %chunk, i64 %chunks) alwaysinline {
  %ret = alloca ptr
  %exc = alloca ptr
  %fn = call ptr @at(ptr %ins, i64 Instruction.FUNCTION)
  %args = call ptr @at(ptr %ins, i64 Instruction.ARGS)
  %ext = call i64 @word(ptr %ins, i64 Instruction.EXTENT)
  %one = icmp eq i64 %chunks, 1
  br i1 %one, label %whole, label %part
whole:
  call i32 %fn(ptr %ret, ptr %exc, ptr %args, i64 0, i64 %ext)
  ret void
part:
  %next = add i64 %chunk, 1
  %a = mul i64 %ext, %chunk
  %b = mul i64 %ext, %next
  %lo = udiv i64 %a, %chunks
  %hi = udiv i64 %b, %chunks
  call i32 %fn(ptr %ret, ptr %exc, ptr %args, i64 %lo, i64 %hi)
  ret void
}

define internal void @patch(ptr %plan) alwaysinline {
entry:
  %status = call ptr @at(ptr %plan, i64 Word.STATUS)
  store i64 Status.FINE, ptr %status
  %patches = call ptr @at(ptr %plan, i64 Word.PATCHES)
  %n = call i64 @word(ptr %plan, i64 Word.PATCH_COUNT)
  br label %head
"""
    + each(
        "%n",
        """
  %row = call ptr @row(ptr %patches, i64 %i, i64 Patch.SIZE)
  %place = call ptr @at(ptr %row, i64 Patch.OBJECT)
  %object = load i64, ptr %place
  %header = add i64 %object, ArrayHeader.DATA
  %found = inttoptr i64 %header to ptr
  %data = load i64, ptr %found
  %argument = call ptr @at(ptr %row, i64 Patch.ARGUMENT)
  store i64 %data, ptr %argument
""",
    )
    + """
  ret void
}

declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define i32 @gc_copy(ptr %ret, ptr %exc, ptr %args, i64 %lo, i64 %hi) {
  %tw = call i64 @word(ptr %args, i64 CopyArgument.TO)
  %fw = call i64 @word(ptr %args, i64 CopyArgument.FROM)
  %ta = add i64 %tw, %lo
  %fa = add i64 %fw, %lo
  %n = sub i64 %hi, %lo
  %to = inttoptr i64 %ta to ptr
  %from = inttoptr i64 %fa to ptr
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %n, i1 false)
  ret i32 0
}
"""
)

RUN_IR = (
    """
define internal i1 @stopped(ptr %plan, i64 %i) alwaysinline {
entry:
  %status = call ptr @at(ptr %plan, i64 Word.STATUS)
  %s = load atomic i64, ptr %status monotonic, align 8
  %asked = getelementptr i64, ptr %plan, i64 Word.CANCEL
  %c = load atomic i64, ptr %asked monotonic, align 8
  %commit = call i64 @word(ptr %plan, i64 Word.COMMIT)
  %early = icmp slt i64 %i, %commit
  %cancel = icmp ne i64 %c, 0
  %cc = and i1 %early, %cancel
  br i1 %cc, label %note, label %end
note:
  %old = cmpxchg ptr %status, i64 Status.FINE, i64 Status.CANCELLED seq_cst seq_cst
  br label %end
end:
  %failed = icmp ne i64 %s, Status.FINE
  %r = or i1 %cc, %failed
  ret i1 %r
}

define i64 @gc_run(ptr %plan) {
entry:
  call void @patch(ptr %plan)
"""
    + each_instruction(
        """
  %chunks = call i64 @word(ptr %ins, i64 Instruction.CHUNKS)
  br label %inner
inner:
  %c = phi i64 [0, %body], [%c2, %go]
  %stop = call i1 @stopped(ptr %plan, i64 %i)
  br i1 %stop, label %end, label %go
go:
  call void @launch(ptr %ins, i64 %c, i64 %chunks)
  %c2 = add i64 %c, 1
  %again = icmp slt i64 %c2, %chunks
  br i1 %again, label %inner, label %after
after:
""",
        last="after",
    )
    + """
  %res = phi i64 [%i, %head], [%i, %inner]
  ret i64 %res
}
"""
)

THREADS_IR = (
    """
declare i32 @sched_yield()

define void @gc_reset(ptr %plan) {
entry:
  call void @patch(ptr %plan)
"""
    + each_instruction(
        """
  %next = getelementptr i64, ptr %ins, i64 Instruction.NEXT
  %done = getelementptr i64, ptr %ins, i64 Instruction.DONE
  store i64 0, ptr %next
  store i64 0, ptr %done
""",
    )
    + """
  fence seq_cst
  ret void
}

define internal void @work(ptr %plan) {
entry:
"""
    + each_instruction(
        """
  %chunks = call i64 @word(ptr %ins, i64 Instruction.CHUNKS)
  %pnext = getelementptr i64, ptr %ins, i64 Instruction.NEXT
  %pdone = getelementptr i64, ptr %ins, i64 Instruction.DONE
  br label %claim
claim:
  %c = atomicrmw add ptr %pnext, i64 1 acq_rel
  %mine = icmp slt i64 %c, %chunks
  br i1 %mine, label %work, label %wait0
work:
  %stop = call i1 @stopped(ptr %plan, i64 %i)
  br i1 %stop, label %skip, label %go
go:
  call void @launch(ptr %ins, i64 %c, i64 %chunks)
  br label %skip
skip:
  %d = atomicrmw add ptr %pdone, i64 1 acq_rel
  br label %claim
wait0:
  br label %wait
wait:
  %spins = phi i64 [0, %wait0], [%spins2, %relax], [0, %yield]
  %have = load atomic i64, ptr %pdone acquire, align 8
  %ready = icmp sge i64 %have, %chunks
  br i1 %ready, label %next, label %again
again:
  %spins2 = add i64 %spins, 1
  %long = icmp sgt i64 %spins2, 300
  br i1 %long, label %yield, label %relax
relax:
  fence seq_cst
  br label %wait
yield:
  %y = call i32 @sched_yield()
  br label %wait
next:
""",
        last="next",
    )
    + """
  ret void
}

define void @gc_join(ptr %plan, i64 %ticket) {
entry:
  %gate = getelementptr i64, ptr %plan, i64 Word.GATE
  br label %try
try:
  %v = load atomic i64, ptr %gate acquire, align 8
  %now = ashr i64 %v, Gate.BITS
  %open = icmp eq i64 %now, %ticket
  br i1 %open, label %enter, label %out
enter:
  %v1 = add i64 %v, 1
  %x = cmpxchg ptr %gate, i64 %v, i64 %v1 seq_cst seq_cst
  %ok = extractvalue {i64, i1} %x, 1
  br i1 %ok, label %in, label %try
in:
  call void @work(ptr %plan)
  %leave = atomicrmw sub ptr %gate, i64 1 seq_cst
  br label %out
out:
  ret void
}

define i64 @gc_lead(ptr %plan) {
entry:
  %gate = getelementptr i64, ptr %plan, i64 Word.GATE
  call void @work(ptr %plan)
  %close = atomicrmw add ptr %gate, i64 Gate.TICKET seq_cst
  br label %wait
wait:
  %v = load atomic i64, ptr %gate acquire, align 8
  %inside = and i64 %v, Gate.HELPERS
  %empty = icmp eq i64 %inside, 0
  br i1 %empty, label %out, label %more
more:
  %y = call i32 @sched_yield()
  br label %wait
out:
  ret i64 0
}
"""
)

DRIVER_IR = numbered(TABLES_IR + LAUNCH_IR + RUN_IR + THREADS_IR)
