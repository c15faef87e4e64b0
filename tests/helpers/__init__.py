"""What several tests share. A module here holds no test.

oracle: log a value, read it back in two ways that must agree; run a script in a process of its own
eventfiles: make event files of any content, without the writer
same_as_torch, differences: the same calls on torch's writer and on tbc's, and where they may differ
models: networks for add_graph
pages: run the code blocks of the documentation
"""
