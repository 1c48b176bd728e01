"""What a stand-in will not do; the texts are for a person, and its control routes answer them as JSON.

Refused                 the stand-in will not do what was asked: 400
    UnknownPayment      no payment is known by this name: 404
    NotPossible         the payment is in a state from which this cannot happen: 409
    Wrong               a form or a question is not as the company wants it: 400
        UsedBefore      and a form of that name was taken before: 409
"""


class Refused(Exception):
    """The stand-in will not do what was asked."""


class UnknownPayment(Refused):
    """No payment of this stand-in, or of this merchant, is known by that name."""


class NotPossible(Refused):
    """The payment is in a state from which the asked step cannot happen."""


class Wrong(Refused):
    """A form or a question that is not taken: a code, and what is wrong, for the person who wrote it."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence


class UsedBefore(Wrong, NotPossible):
    """A form whose name for the payment is taken."""
