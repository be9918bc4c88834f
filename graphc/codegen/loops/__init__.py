"""The third IR, loops over elements: its statements, text, transforms, and what both printers share.

How a kernel becomes loops is `codegen.lower`; how loops become source, `codegen.cpu` and
`codegen.cuda`.
"""
