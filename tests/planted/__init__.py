"""The test of the tests: bugs that cost money, each as a patch, each of which a test has to catch.

    python -m tests.planted                 plant them all, one after another
    python -m tests.planted NAME ...        only these
    python -m tests.planted --list          what there is

Each file in `bugs/` is a unified diff against `src/` below a few lines: what the bug is, the fewest tests that have to
catch it, and how long they may take.
"""
