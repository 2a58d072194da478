# SPDX-License-Identifier: MIT
"""A package, so that its conftest is not taken for the one above."""
