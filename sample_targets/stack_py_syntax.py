# SPDX-License-Identifier: MIT
"""What stack_py.py runs that Python 2 cannot parse; stack_py_old_syntax.py has the nearest to it."""


def größe(walker):
    return walker.descend(
        walker.depth
    )


walk = größe


def numbers(count, action):
    if count:
        yield from numbers(count - 1, action)
    else:
        yield action()
