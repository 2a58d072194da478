# SPDX-License-Identifier: MIT
"""stack_py_syntax.py for Python 2."""


def walk(walker):
    return walker.descend(
        walker.depth
    )


def numbers(count, action):
    if count:
        for value in numbers(count - 1, action):
            yield value
    else:
        yield action()
