"""Several frames at a time, with numbers for frames."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from penumbra_engine.solvers.abreast import abreast


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_whoever_is_ready_first() -> None:
    def slow_at_first(item: int) -> int:
        time.sleep(0.05 if item == 0 else 0)
        return item * item

    assert list(abreast(slow_at_first, range(7), 100)) == [0, 1, 4, 9, 16, 25, 36]


def test_as_many_at_a_time_as_there_are_threads_each_with_one_of_them() -> None:
    together = threading.Barrier(3, timeout=20)

    def meet(item: int) -> int:
        together.wait()  # breaks unless three are here
        return torch.get_num_threads()

    assert list(abreast(meet, range(6), 100)) == [1] * 6
    assert torch.get_num_threads() == 3


def test_large_frames_are_fewer_at_a_time() -> None:
    here = threading.current_thread()
    assert list(abreast(lambda item: threading.current_thread() is here, range(3), 10**9)) == [True] * 3


def test_an_error_comes_where_its_result_would_and_what_was_not_begun_never_is() -> None:
    begun = []

    def fail(item: int) -> int:
        begun.append(item)
        if item == 1:
            raise ValueError("frame 1")
        return item

    results = abreast(fail, range(100), 100)
    assert next(results) == 0
    with pytest.raises(ValueError, match="frame 1"):
        next(results)
    assert len(begun) < 10 and torch.get_num_threads() == 3


def test_closing_waits_for_what_is_begun() -> None:
    done = []

    def work(item: int) -> int:
        time.sleep(0.02)
        done.append(item)
        return item

    results = abreast(work, range(100), 100)
    next(results)
    results.close()
    settled = len(done)
    time.sleep(0.1)
    assert 1 <= len(done) == settled < 10
