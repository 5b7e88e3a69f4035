"""One module per noun. Each has ``HELP``, one line, and ``add_verbs(verbs)``, which adds a parser per verb.

A noun without verbs has ``add_arguments(parser)`` instead. The parser names its function by ``set_defaults(run=...)``:
it takes the parsed arguments, plain or as a coroutine function, and returns the exit status. Only the module of the
noun that was given is imported.
"""
