"""Pixel windows: where a picture's data lies, where it is displayed, and moving pixels from one window to another.

Coordinates are those of EXR files: x to the right, y down, whole pixels, any origin.
"""

from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """A rectangle of pixels: columns x .. x + width - 1, rows y .. y + height - 1."""

    x: int
    y: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}{self.x:+d}{self.y:+d}"

    @property
    def right(self) -> int:
        """The first column behind the window."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row below the window."""
        return self.y + self.height

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    def union(self, other: "Window") -> "Window":
        """The smallest window that holds both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        return Window(x, y, max(self.right, other.right) - x, max(self.bottom, other.bottom) - y)

    def intersection(self, other: "Window") -> "Window":
        """What both hold; width and height are 0 where they don't meet."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        return Window(x, y, max(0, min(self.right, other.right) - x), max(0, min(self.bottom, other.bottom) - y))


def pixels(part: Window, of: Window | None = None) -> tuple[slice, slice]:
    """The rows and columns of a part in an array over a window; over one from the first row and column on if none."""
    x, y = (of.x, of.y) if of else (0, 0)
    return slice(part.y - y, part.bottom - y), slice(part.x - x, part.right - x)


def grown(part: Window, by: int, within: Window) -> Window:
    """A window with a margin, cut to another."""
    return Window(part.x - by, part.y - by, part.width + 2 * by, part.height + 2 * by).intersection(within)


def place(picture: np.ndarray, source: Window, target: Window) -> np.ndarray:
    """A picture (H x W or H x W x C, over `source`) seen through `target`: cut where it is smaller, 0 where it is
    larger. The same array comes back when the windows are equal."""
    if picture.shape[:2] != (source.height, source.width):
        raise ValueError(f"pixels of {picture.shape[1]}x{picture.shape[0]} don't fill the window {source}")
    if source == target:
        return picture
    placed = np.zeros((target.height, target.width, *picture.shape[2:]), picture.dtype)
    both = source.intersection(target)
    placed[pixels(both, target)] = picture[pixels(both, source)]
    return placed


def crop(picture: np.ndarray, window: Window, display: Window) -> tuple[np.ndarray, Window]:
    """A picture (H x W x C, over `window`) cropped to what it holds (any channel not 0) plus one black pixel around.

    The black pixel is there even where the content touches the edge of `window`: hosts repeat the outermost pixel, and
    a layer must not smear. An empty picture becomes the one black pixel at the corner of `display`.
    """
    held = (picture != 0).any(axis=2)
    rows, columns = np.flatnonzero(held.any(axis=1)), np.flatnonzero(held.any(axis=0))
    if rows.size == 0:
        target = Window(display.x, display.y, 1, 1)
        return np.zeros((1, 1, picture.shape[2]), picture.dtype), target
    top, left = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) - top + 1, int(columns[-1]) - left + 1
    target = Window(window.x + left - 1, window.y + top - 1, width + 2, height + 2)
    return place(picture, window, target), target
