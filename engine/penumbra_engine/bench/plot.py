"""A plot on logarithmic scales, where what grows in proportion is a straight line of slope 1."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 520, 380, 70, 90, 40, 50  # px of a panel, and of its margins
_PAPER, _INK, _GRID = (255, 255, 255), (40, 40, 40), (225, 225, 225)
_COLOURS = ((31, 31, 31), (180, 119, 31), (14, 127, 255), (44, 160, 44), (40, 39, 214))
_ROOM = 0.08  # of a scale, at both ends


@dataclass(frozen=True)
class Panel:
    """title: what the lines show. name: what they are shown against. x: N values > 0. lines: N values > 0 by name; the
    first is drawn thick, and a dashed line of slope 1 begins where it does."""

    title: str
    name: str
    x: Sequence[float]
    lines: Mapping[str, Sequence[float]]


def plot(panels: Sequence[Panel]) -> bytes:
    """A PNG with the panels side by side, two in a row."""
    drawn = [_drawn(panel) for panel in panels]
    drawn += [np.full_like(drawn[0], 255)] * (len(drawn) % 2)
    rows = [np.hstack(drawn[first : first + 2]) for first in range(0, len(drawn), 2)]
    done, png = cv2.imencode(".png", np.vstack(rows))
    if not done:
        raise ValueError("the plot can't be encoded")
    return png.tobytes()


def _drawn(panel: Panel) -> np.ndarray:
    image = np.full((_HEIGHT, _WIDTH, 3), _PAPER, np.uint8)
    first = next(iter(panel.lines.values()))
    proportional = [first[0] * x / panel.x[0] for x in panel.x]
    across = _Scale(panel.x, _LEFT, _WIDTH - _RIGHT)
    up = _Scale([y for line in (*panel.lines.values(), proportional) for y in line], _HEIGHT - _BOTTOM, _TOP)
    for value in across.marks():
        cv2.line(image, (across.at(value), _TOP), (across.at(value), _HEIGHT - _BOTTOM), _GRID, 1)
    for value in up.marks():
        cv2.line(image, (_LEFT, up.at(value)), (_WIDTH - _RIGHT, up.at(value)), _GRID, 1)
        _write(image, f"{value:g}", (8, up.at(value) + 4))
    for value in panel.x:
        _write(image, f"{value:.3g}", (across.at(value) - 12, _HEIGHT - _BOTTOM + 18))
    _write(image, panel.title, (_LEFT, _TOP - 14))
    _write(image, panel.name, ((_LEFT + _WIDTH - _RIGHT) // 2 - 25, _HEIGHT - 10))
    places = [(across.at(x), up.at(y)) for x, y in zip(panel.x, proportional, strict=True)]
    for place in np.linspace(places[0], places[-1], 60).round().astype(int):
        cv2.circle(image, tuple(map(int, place)), 1, (160, 160, 160), -1)
    for number, (name, line) in enumerate(panel.lines.items()):
        colour, thickness = _COLOURS[number % len(_COLOURS)], 1 if number else 2
        points = [(across.at(x), up.at(y)) for x, y in zip(panel.x, line, strict=True)]
        cv2.polylines(image, [np.array(points, np.int32)], False, colour, thickness, cv2.LINE_AA)
        for point in points:
            cv2.circle(image, point, 2 + thickness, colour, -1, cv2.LINE_AA)
        _write(image, name, (points[-1][0] + 8, points[-1][1] + 4), colour)
    return image


def _write(image: np.ndarray, text: str, at: tuple[int, int], colour: tuple[int, int, int] = _INK) -> None:
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


class _Scale:
    """Values > 0 on pixels from `low` to `high`."""

    def __init__(self, values: Sequence[float], low: int, high: int) -> None:
        least, most = np.log10(min(values)), np.log10(max(values))
        room = _ROOM * max(most - least, 0.3)
        self._least, self._most, self._low, self._high = least - room, most + room, low, high

    def at(self, value: float) -> int:
        """The pixel of a value."""
        share = (np.log10(value) - self._least) / (self._most - self._least)
        return round(self._low + share * (self._high - self._low))

    def marks(self) -> Iterator[float]:
        """1, 2 and 5 of each power of ten on the scale."""
        for power in range(int(np.floor(self._least)), int(np.ceil(self._most)) + 1):
            for value in (1, 2, 5):
                mark = value * 10.0**power
                if self._least <= np.log10(mark) <= self._most:
                    yield mark
