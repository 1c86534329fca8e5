"""The Pulumi program: what a stack file becomes on AWS.

`program.main` composes; every other file is one component or one step. Nothing here imports `functions`: the two sides meet in
the table's items, the functions' environment and their handlers' names, and tests hold both ends to it.

File names avoid those of the standard library (`secrets`, `packaging`), since the Pulumi CLI puts this folder first on the path.
"""
