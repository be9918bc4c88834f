"""The third IR, loops over elements: statements, text, transforms, what both printers share.

How a kernel becomes loops is `codegen.lower`; how loops become source, `codegen.cpu` and
`codegen.cuda`.
"""
