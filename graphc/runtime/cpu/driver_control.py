"""Native loops and branches: `gc_control`, a kernel that runs instruction lists of its own.

Its arguments are the addresses of a block (`LoopBlock`, `SwitchBlock`), of the status words and of
`cancel`, then buffers.  Tables in a block name buffers by their place among the arguments.  Before
each step it points the arguments of the inner kernels at their buffers, `*word = args[place] +
t * stride`, so slices and rows need no copies.
"""

from __future__ import annotations

from graphc.runtime.cpu.driver_text import each
from graphc.runtime.cpu.plan_words import numbered

# Both kinds of block do this: point the inner kernels' arguments at buffers, then run a list of
# instructions until one fails or `cancel` is set.
LIST_IR = (
    """
define internal i1 @halted(ptr %args) alwaysinline {
entry:
  %status = call ptr @at(ptr %args, i64 ControlArgument.STATUS)
  %asked = call ptr @at(ptr %args, i64 ControlArgument.CANCEL)
  %c = load atomic i64, ptr %asked monotonic, align 8
  %cancel = icmp ne i64 %c, 0
  br i1 %cancel, label %note, label %look
note:
  %old = cmpxchg ptr %status, i64 Status.FINE, i64 Status.CANCELLED seq_cst seq_cst
  ret i1 true
look:
  %s = load atomic i64, ptr %status monotonic, align 8
  %failed = icmp ne i64 %s, Status.FINE
  ret i1 %failed
}

define internal void @point(ptr %args, ptr %table, i64 %n, i64 %t) alwaysinline {
entry:
  br label %head
"""
    + each(
        "%n",
        """
  %row = call ptr @row(ptr %table, i64 %i, i64 StepPatch.SIZE)
  %place = call i64 @word(ptr %row, i64 StepPatch.PLACE)
  %target = call ptr @at(ptr %row, i64 StepPatch.ARGUMENT)
  %stride = call i64 @word(ptr %row, i64 StepPatch.STRIDE)
  %base = call i64 @word(ptr %args, i64 %place)
  %step = mul i64 %stride, %t
  %a = add i64 %base, %step
  store i64 %a, ptr %target
""",
    )
    + """
  ret void
}

define internal i1 @list(ptr %args, ptr %first, i64 %n) {
entry:
  br label %head
"""
    + each(
        "%n",
        """
  %stop = call i1 @halted(ptr %args)
  br i1 %stop, label %out, label %go
out:
  ret i1 true
go:
  %ins = call ptr @row(ptr %first, i64 %i, i64 Instruction.SIZE)
  call void @launch(ptr %ins, i64 0, i64 1)
""",
        last="go",
    )
    + """
  %late = call i1 @halted(ptr %args)
  ret i1 %late
}
"""
)

LOOP_IR = (
    """
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define internal void @copies(ptr %args, ptr %table, i64 %n) {
entry:
  br label %head
"""
    + each(
        "%n",
        """
  %row = call ptr @row(ptr %table, i64 %i, i64 Carry.SIZE)
  %to = call i64 @word(ptr %row, i64 Carry.TO)
  %from = call i64 @word(ptr %row, i64 Carry.FROM)
  %bytes = call i64 @word(ptr %row, i64 Carry.BYTES)
  %tp = call ptr @at(ptr %args, i64 %to)
  %fp = call ptr @at(ptr %args, i64 %from)
  call void @llvm.memcpy.p0.p0.i64(ptr %tp, ptr %fp, i64 %bytes, i1 false)
""",
    )
    + """
  ret void
}

define internal void @clear(ptr %args, ptr %table, i64 %n, i64 %done, i64 %all) {
entry:
  %left = sub i64 %all, %done
  %any = icmp sgt i64 %left, 0
  br i1 %any, label %head, label %end
"""
    + each(
        "%n",
        """
  %row = call ptr @row(ptr %table, i64 %i, i64 ResultRow.SIZE)
  %place = call i64 @word(ptr %row, i64 ResultRow.PLACE)
  %bytes = call i64 @word(ptr %row, i64 ResultRow.BYTES)
  %base = call i64 @word(ptr %args, i64 %place)
  %skip = mul i64 %bytes, %done
  %start = add i64 %base, %skip
  %p = inttoptr i64 %start to ptr
  %size = mul i64 %bytes, %left
  call void @llvm.memset.p0.i64(ptr %p, i8 0, i64 %size, i1 false)
""",
    )
    + """
  ret void
}

define internal void @loop(ptr %args, ptr %block) {
entry:
  %sw = call i64 @word(ptr %block, i64 LoopBlock.STEPS)
  %sp = call ptr @at(ptr %args, i64 %sw)
  %wanted = load i64, ptr %sp
  %length = call i64 @word(ptr %block, i64 LoopBlock.LENGTH)
  %bounded = icmp sge i64 %length, 0
  %less = icmp slt i64 %length, %wanted
  %limited = and i1 %bounded, %less
  %most = select i1 %limited, i64 %length, i64 %wanted
  %some = icmp sgt i64 %most, 0
  %steps = select i1 %some, i64 %most, i64 0
  %rw = call i64 @word(ptr %block, i64 LoopBlock.REVERSE)
  %reverse = icmp ne i64 %rw, 0
  %fw = call i64 @word(ptr %block, i64 LoopBlock.FLAG)
  %flagged = icmp ne i64 %fw, 0
  %fp = call ptr @at(ptr %args, i64 %fw)
  %cw = call i64 @word(ptr %block, i64 LoopBlock.COUNT)
  %count = call ptr @at(ptr %args, i64 %cw)
  %copies = call ptr @at(ptr %block, i64 LoopBlock.COPIES)
  %copied = call i64 @word(ptr %block, i64 LoopBlock.COPY_COUNT)
  %patches = call ptr @at(ptr %block, i64 LoopBlock.PATCHES)
  %patched = call i64 @word(ptr %block, i64 LoopBlock.PATCH_COUNT)
  %first = call ptr @at(ptr %block, i64 LoopBlock.INSTRUCTIONS)
  %n = call i64 @word(ptr %block, i64 LoopBlock.INSTRUCTION_COUNT)
  %rows = call ptr @at(ptr %block, i64 LoopBlock.ROWS)
  %results = call i64 @word(ptr %block, i64 LoopBlock.ROW_COUNT)
  call void @copies(ptr %args, ptr %copies, i64 %copied)
  br label %head
"""
    + each(
        "%steps",
        """
  br i1 %flagged, label %test, label %step
test:
  %f = load i8, ptr %fp
  %on = icmp ne i8 %f, 0
  br i1 %on, label %step, label %end
step:
  %back0 = sub i64 %steps, %i
  %back = sub i64 %back0, 1
  %t = select i1 %reverse, i64 %back, i64 %i
  call void @point(ptr %args, ptr %patches, i64 %patched, i64 %t)
  %stop = call i1 @list(ptr %args, ptr %first, i64 %n)
  br i1 %stop, label %end, label %next
next:
""",
        last="next",
    )
    + """
  store i64 %i, ptr %count
  %unmade = sub i64 %steps, %i
  %low = select i1 %reverse, i64 %unmade, i64 0
  %done = select i1 %reverse, i64 %steps, i64 %i
  call void @clear(ptr %args, ptr %rows, i64 %results, i64 0, i64 %low)
  call void @clear(ptr %args, ptr %rows, i64 %results, i64 %done, i64 %length)
  ret void
}
"""
)

SWITCH_IR = """
define internal void @choose(ptr %args, ptr %block) {
entry:
  %iw = call i64 @word(ptr %block, i64 SwitchBlock.INDEX)
  %ip = call ptr @at(ptr %args, i64 %iw)
  %index = load i64, ptr %ip
  %count = call i64 @word(ptr %block, i64 SwitchBlock.COUNT)
  %inside = icmp ult i64 %index, %count
  br i1 %inside, label %run, label %end
run:
  %copies = call ptr @at(ptr %block, i64 SwitchBlock.COPIES)
  %copied = call i64 @word(ptr %block, i64 SwitchBlock.COPY_COUNT)
  call void @copies(ptr %args, ptr %copies, i64 %copied)
  %branches = call ptr @at(ptr %block, i64 SwitchBlock.BRANCHES)
  %row = call ptr @row(ptr %branches, i64 %index, i64 Branch.SIZE)
  %patches = call ptr @at(ptr %row, i64 Branch.PATCHES)
  %patched = call i64 @word(ptr %row, i64 Branch.PATCH_COUNT)
  %first = call ptr @at(ptr %row, i64 Branch.INSTRUCTIONS)
  %n = call i64 @word(ptr %row, i64 Branch.INSTRUCTION_COUNT)
  call void @point(ptr %args, ptr %patches, i64 %patched, i64 0)
  %stop = call i1 @list(ptr %args, ptr %first, i64 %n)
  br label %end
end:
  ret void
}

define i32 @gc_control(ptr %ret, ptr %exc, ptr %args, i64 %lo, i64 %hi) {
entry:
  %block = call ptr @at(ptr %args, i64 ControlArgument.BLOCK)
  %kind = call i64 @word(ptr %block, i64 LoopBlock.KIND)
  %loops = icmp eq i64 %kind, BlockKind.LOOP
  br i1 %loops, label %loop, label %switch
loop:
  call void @loop(ptr %args, ptr %block)
  ret i32 0
switch:
  call void @choose(ptr %args, ptr %block)
  ret i32 0
}
"""

CONTROL_IR = numbered(LIST_IR + LOOP_IR + SWITCH_IR)
