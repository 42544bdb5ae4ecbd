"""Where the frames of a pan lie on their canvas, through a lens that bends."""

import numpy as np
import pytest
import torch

from penumbra_engine.errors import UnsolvableError
from penumbra_engine.imaging.lens import Lens
from penumbra_engine.imaging.warp import pixel_grid
from penumbra_engine.media.windows import Window, pixels
from penumbra_engine.solvers.omnimatte.mosaic import Mosaic
from penumbra_engine.solvers.omnimatte.register import Registration

COUNT, HEIGHT, WIDTH = 5, 30, 48


def panned(by: float, model: str = "homography", bend: float = -0.05) -> Mosaic:
    """A camera that goes to the right by some pixels a frame, from the middle frame on."""
    cameras = np.stack([np.array([[1, 0, by * (t - 2)], [0, 1, 0], [0, 0, 1.0]]) for t in range(COUNT)])
    still = np.zeros(COUNT)
    lens = Lens(bend, WIDTH, HEIGHT)
    return Mosaic(Registration("cameras", model, 2, cameras, still, still.astype(int), lens), HEIGHT, WIDTH)


def test_the_canvas_holds_all_frames_and_leads_back_to_them() -> None:
    mosaic = panned(7)
    for index in range(COUNT):
        places = mosaic.on_canvas(index, mosaic.frame)
        assert places.min() >= 0 and places[..., 0].max() < mosaic.whole.width
        assert places[..., 1].max() < mosaic.whole.height
        torch.testing.assert_close(mosaic.in_frame(index, places), pixel_grid(HEIGHT, WIDTH), atol=0.01, rtol=0)
    assert mosaic.whole.width >= WIDTH + 4 * 7


def test_a_frame_sees_another_where_both_look() -> None:
    mosaic = panned(7, bend=0)
    ramp = pixel_grid(HEIGHT, WIDTH)[..., 0][None]
    seen, inside = mosaic.see(ramp, 1, 2)
    assert inside.any() and not inside.all()
    torch.testing.assert_close(seen[0][inside], (ramp[0] - 7)[inside], atol=0.01, rtol=0)


def test_a_static_camera_has_the_canvas_of_a_frame() -> None:
    mosaic = panned(0, "static")
    picture = torch.rand(3, HEIGHT, WIDTH)
    assert mosaic.whole == mosaic.frame
    assert mosaic.see(picture, 0, 3)[0] is picture and torch.equal(mosaic.view(picture, 4, mosaic.frame), picture)


def test_a_camera_that_turns_too_far_is_refused() -> None:
    with pytest.raises(UnsolvableError, match="turns or zooms too far"):
        panned(20 * WIDTH)


@pytest.mark.parametrize("by, model, bend", [(31, "homography", -0.05), (0, "static", 0)])
def test_nothing_of_an_area_lies_beyond_its_surroundings(by: float, model: str, bend: float) -> None:
    mosaic = panned(by, model, bend)
    smaller, width, height = 0, mosaic.whole.width, mosaic.whole.height
    for area in (Window(x, y, 9, 9) for x in range(0, width - 9, 11) for y in range(0, height - 9, 7)):
        for index in range(COUNT):
            left, top = mosaic.on_canvas(index, mosaic.frame).round().unbind(-1)
            inside = (left >= area.x) & (left < area.right) & (top >= area.y) & (top < area.bottom)
            inside[pixels(mosaic.surroundings(index, area))] = False
            assert not inside.any()
            smaller += mosaic.surroundings(index, area).size != mosaic.frame.size
    assert smaller  # frames that show little or nothing of it
