"""Counts the inputs of each fuzzer, for the summary of the run."""

import functools

import pytest


@pytest.fixture(autouse=True)
def counted_inputs(request, record_property):
    handle, calls = request.function.hypothesis, []
    inner = handle.inner_test

    @functools.wraps(inner)
    def counting(*arguments, **named):
        calls.append(1)
        return inner(*arguments, **named)

    handle.inner_test = counting
    yield
    handle.inner_test = inner
    record_property("fuzz-inputs", len(calls))
