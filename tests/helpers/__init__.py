"""Modules that several tests share; none of them has a test.

oracle: log a value, read it back with two readers that must agree; run a script in a new process
eventfiles: make event files of any content, without the writer
same_as_torch, differences: make the same calls on torch's writer and on tbc's, and list where they may differ
models: networks for add_graph
pages: run the code blocks of the documentation
"""
