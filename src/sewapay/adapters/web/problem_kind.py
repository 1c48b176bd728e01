"""What is told of one kind of problem; the table of them is in `problems.py`."""

from attrs import frozen

__all__ = ["ProblemKind"]


@frozen
class ProblemKind:
    """One kind of problem. `slug` is stable: clients may tell problems apart by it.

    `retry_after` (seconds) is sent where the same request may be sent again and can then succeed.
    """

    slug: str
    status: int
    title: str
    cause: str
    cure: str
    retry_after: int | None = None
