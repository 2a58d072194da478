# SPDX-License-Identifier: MIT
"""The second file of stack_py.py: frames of one stack must not all come from one file."""


def relay(comment, action):
    def nested():
        return action()

    class Local(object):
        @staticmethod
        def call(function):
            return function()

    return comment, Local.call(
        nested,
    )
