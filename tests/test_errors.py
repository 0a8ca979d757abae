"""Errors in the words of who raised them."""

import pytest
from lakerec.errors import root_cause


class Java(Exception):
    """As py4j gives what Java raised."""

    def __init__(self, message, name="java.io.IOException", cause=None):
        super().__init__("An error occurred while calling o1.load.\n: trace")
        self.java_exception = self
        self._said, self._name, self._cause = message, name, cause

    def getMessage(self):  # noqa: N802
        return self._said

    def getCause(self):  # noqa: N802
        return self._cause

    def toString(self):  # noqa: N802
        return self._name if self._said is None else f"{self._name}: {self._said}"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Java("task failed", cause=Java("a.csv is not a Parquet file\nmore")), "a.csv is not a Parquet file"),
        (Java("task failed", cause=Java("some-host")), "java.io.IOException: some-host"),
        (Java(None, "java.lang.NullPointerException"), "java.lang.NullPointerException"),
        (Java("\n the disk is full"), "the disk is full"),
        (ValueError("no such file\nat line 3"), "no such file"),
        (ValueError(), "ValueError"),
    ],
)
def test_the_root_cause_is_one_line_that_says_something(error, said):
    assert root_cause(error) == said
