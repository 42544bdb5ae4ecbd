"""Abreast: what frames ask for one by one, several frames at a time."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 1 << 23  # pixels: four frames of HD


def abreast(make: Callable[[T], R], items: Iterable[T], pixels: int) -> Generator[R, None, None]:
    """What `make` gives for each item, in their order; closing the iterator waits for those that are begun.

    With n of torch's threads, n items at a time with a thread each: the arrays of one frame are too small to be shared
    between threads. So the result doesn't hang on n. pixels: of an item; large ones are fewer at a time, for memory.
    """
    threads = torch.get_num_threads()
    workers = min(threads, max(1, _AT_ONCE // pixels))
    if workers < 2:
        yield from map(make, items)
        return
    begun: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        for item in items:
            begun.append(pool.submit(make, item))
            if len(begun) > workers:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # torch may take what one thread says for all
