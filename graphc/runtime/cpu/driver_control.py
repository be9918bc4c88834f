"""Native loops and branches: `gc_control`, a kernel that runs instruction lists of its own.

Its arguments: the addresses of a block (`LoopBlock`, `SwitchBlock`), of the status words and of
`cancel`, then buffers.  Tables in a block name buffers by their place among the arguments.  Before
each step the arguments of the inner kernels are pointed at what they work on, `*word = args[place]
+ t * stride`, so slices and rows need no copies.
"""

from __future__ import annotations

import enum


class LoopBlock(enum.IntEnum):
    """Words of the block of a loop."""

    KIND = 0  # 0
    STEPS = 1  # place of the number of steps
    LENGTH = 2  # at most so many steps; -1: any number
    REVERSE = 3
    FLAG = 4  # place of the truth value that a step needs; 0: none
    COUNT = 5  # place of the number of steps made
    COPIES = 6  # table of (place to, place from, bytes): the first carries
    COPY_COUNT = 7
    PATCHES = 8  # table of (place, address of an argument word, stride)
    PATCH_COUNT = 9
    INSTRUCTIONS = 10
    INSTRUCTION_COUNT = 11
    ROWS = 12  # table of (place, bytes of a row): what no step wrote is cleared
    ROW_COUNT = 13


class SwitchBlock(enum.IntEnum):
    """Words of the block of a switch."""

    KIND = 0  # 1
    INDEX = 1  # place of the index
    COUNT = 2  # of branches
    BRANCHES = 3  # table of (patches, their count, instructions, their count)


CONTROL_IR = """
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define internal i64 @word(ptr %p, i64 %i) alwaysinline {
  %q = getelementptr i64, ptr %p, i64 %i
  %v = load i64, ptr %q
  ret i64 %v
}

define internal ptr @at(ptr %args, i64 %i) alwaysinline {
  %v = call i64 @word(ptr %args, i64 %i)
  %p = inttoptr i64 %v to ptr
  ret ptr %p
}

define internal i1 @halted(ptr %args) alwaysinline {
entry:
  %sp = call ptr @at(ptr %args, i64 1)
  %cp = call ptr @at(ptr %args, i64 2)
  %c = load atomic i64, ptr %cp monotonic, align 8
  %cancel = icmp ne i64 %c, 0
  br i1 %cancel, label %note, label %look
note:
  %old = cmpxchg ptr %sp, i64 0, i64 2 seq_cst seq_cst
  ret i1 true
look:
  %s = load atomic i64, ptr %sp monotonic, align 8
  %failed = icmp ne i64 %s, 0
  ret i1 %failed
}

define internal void @point(ptr %args, ptr %table, i64 %n, i64 %t) alwaysinline {
entry:
  br label %head
head:
  %i = phi i64 [0, %entry], [%i2, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %end
body:
  %o = mul i64 %i, 3
  %row = getelementptr i64, ptr %table, i64 %o
  %place = call i64 @word(ptr %row, i64 0)
  %target = call ptr @at(ptr %row, i64 1)
  %stride = call i64 @word(ptr %row, i64 2)
  %base = call i64 @word(ptr %args, i64 %place)
  %step = mul i64 %stride, %t
  %a = add i64 %base, %step
  store i64 %a, ptr %target
  %i2 = add i64 %i, 1
  br label %head
end:
  ret void
}

define internal i1 @list(ptr %args, ptr %first, i64 %n) {
entry:
  br label %head
head:
  %i = phi i64 [0, %entry], [%i2, %go]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %end
body:
  %stop = call i1 @halted(ptr %args)
  br i1 %stop, label %out, label %go
go:
  %o = mul i64 %i, 6
  %ins = getelementptr i64, ptr %first, i64 %o
  call void @launch(ptr %ins, i64 0, i64 1)
  %i2 = add i64 %i, 1
  br label %head
out:
  ret i1 true
end:
  %late = call i1 @halted(ptr %args)
  ret i1 %late
}

define internal void @copies(ptr %args, ptr %table, i64 %n) {
entry:
  br label %head
head:
  %i = phi i64 [0, %entry], [%i2, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %end
body:
  %o = mul i64 %i, 3
  %row = getelementptr i64, ptr %table, i64 %o
  %to = call i64 @word(ptr %row, i64 0)
  %from = call i64 @word(ptr %row, i64 1)
  %bytes = call i64 @word(ptr %row, i64 2)
  %tp = call ptr @at(ptr %args, i64 %to)
  %fp = call ptr @at(ptr %args, i64 %from)
  call void @llvm.memcpy.p0.p0.i64(ptr %tp, ptr %fp, i64 %bytes, i1 false)
  %i2 = add i64 %i, 1
  br label %head
end:
  ret void
}

define internal void @clear(ptr %args, ptr %table, i64 %n, i64 %done, i64 %all) {
entry:
  %left = sub i64 %all, %done
  %any = icmp sgt i64 %left, 0
  br i1 %any, label %head, label %end
head:
  %i = phi i64 [0, %entry], [%i2, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %end
body:
  %o = mul i64 %i, 2
  %row = getelementptr i64, ptr %table, i64 %o
  %place = call i64 @word(ptr %row, i64 0)
  %bytes = call i64 @word(ptr %row, i64 1)
  %base = call i64 @word(ptr %args, i64 %place)
  %skip = mul i64 %bytes, %done
  %start = add i64 %base, %skip
  %p = inttoptr i64 %start to ptr
  %size = mul i64 %bytes, %left
  call void @llvm.memset.p0.i64(ptr %p, i8 0, i64 %size, i1 false)
  %i2 = add i64 %i, 1
  br label %head
end:
  ret void
}

define internal void @loop(ptr %args, ptr %block) {
entry:
  %sw = call i64 @word(ptr %block, i64 1)
  %sp = call ptr @at(ptr %args, i64 %sw)
  %wanted = load i64, ptr %sp
  %length = call i64 @word(ptr %block, i64 2)
  %bounded = icmp sge i64 %length, 0
  %less = icmp slt i64 %length, %wanted
  %limited = and i1 %bounded, %less
  %most = select i1 %limited, i64 %length, i64 %wanted
  %some = icmp sgt i64 %most, 0
  %steps = select i1 %some, i64 %most, i64 0
  %rw = call i64 @word(ptr %block, i64 3)
  %reverse = icmp ne i64 %rw, 0
  %fw = call i64 @word(ptr %block, i64 4)
  %flagged = icmp ne i64 %fw, 0
  %fp = call ptr @at(ptr %args, i64 %fw)
  %cw = call i64 @word(ptr %block, i64 5)
  %count = call ptr @at(ptr %args, i64 %cw)
  %ct = call ptr @at(ptr %block, i64 6)
  %cn = call i64 @word(ptr %block, i64 7)
  %pt = call ptr @at(ptr %block, i64 8)
  %pn = call i64 @word(ptr %block, i64 9)
  %it = call ptr @at(ptr %block, i64 10)
  %in = call i64 @word(ptr %block, i64 11)
  %zt = call ptr @at(ptr %block, i64 12)
  %zn = call i64 @word(ptr %block, i64 13)
  call void @copies(ptr %args, ptr %ct, i64 %cn)
  br label %head
head:
  %i = phi i64 [0, %entry], [%i2, %next]
  %more = icmp slt i64 %i, %steps
  br i1 %more, label %ask, label %end
ask:
  br i1 %flagged, label %test, label %step
test:
  %f = load i8, ptr %fp
  %on = icmp ne i8 %f, 0
  br i1 %on, label %step, label %end
step:
  %back0 = sub i64 %steps, %i
  %back = sub i64 %back0, 1
  %t = select i1 %reverse, i64 %back, i64 %i
  call void @point(ptr %args, ptr %pt, i64 %pn, i64 %t)
  %stop = call i1 @list(ptr %args, ptr %it, i64 %in)
  br i1 %stop, label %end, label %next
next:
  %i2 = add i64 %i, 1
  br label %head
end:
  store i64 %i, ptr %count
  %unmade = sub i64 %steps, %i
  %low = select i1 %reverse, i64 %unmade, i64 0
  %done = select i1 %reverse, i64 %steps, i64 %i
  call void @clear(ptr %args, ptr %zt, i64 %zn, i64 0, i64 %low)
  call void @clear(ptr %args, ptr %zt, i64 %zn, i64 %done, i64 %length)
  ret void
}

define internal void @choose(ptr %args, ptr %block) {
entry:
  %iw = call i64 @word(ptr %block, i64 1)
  %ip = call ptr @at(ptr %args, i64 %iw)
  %index = load i64, ptr %ip
  %n = call i64 @word(ptr %block, i64 2)
  %inside = icmp ult i64 %index, %n
  br i1 %inside, label %run, label %end
run:
  %table = call ptr @at(ptr %block, i64 3)
  %o = mul i64 %index, 4
  %row = getelementptr i64, ptr %table, i64 %o
  %pt = call ptr @at(ptr %row, i64 0)
  %pn = call i64 @word(ptr %row, i64 1)
  %it = call ptr @at(ptr %row, i64 2)
  %in = call i64 @word(ptr %row, i64 3)
  call void @point(ptr %args, ptr %pt, i64 %pn, i64 0)
  %stop = call i1 @list(ptr %args, ptr %it, i64 %in)
  br label %end
end:
  ret void
}

define i32 @gc_control(ptr %ret, ptr %exc, ptr %args, i64 %lo, i64 %hi) {
entry:
  %block = call ptr @at(ptr %args, i64 0)
  %kind = call i64 @word(ptr %block, i64 0)
  %loops = icmp eq i64 %kind, 0
  br i1 %loops, label %loop, label %switch
loop:
  call void @loop(ptr %args, ptr %block)
  ret i32 0
switch:
  call void @choose(ptr %args, ptr %block)
  ret i32 0
}
"""
