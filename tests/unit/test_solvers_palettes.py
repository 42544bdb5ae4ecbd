"""The colours of an object, heard on frames where it is told apart and used where it isn't."""

import torch

from penumbra_engine.matting.background_evidence import background_evidence
from penumbra_engine.matting.closed_form_over_background import closed_form_over_background
from penumbra_engine.matting.palette import Palette
from penumbra_engine.solvers.palettes import Palettes

HEIGHT, WIDTH = 24, 40
RED, TYRE, WALL = (torch.tensor(colour)[:, None, None] for colour in ([0.6, 0.1, 0.1], [0.07, 0.07, 0.07], [0.3] * 3))


def frame(left: int, alpha: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Picture, alpha and trimap of a red box with a dark foot that covers `alpha` of the wall behind it; only the box
    is surely known."""
    covered, trimap = torch.zeros(HEIGHT, WIDTH), torch.zeros(HEIGHT, WIDTH)
    trimap[4:20, left : left + 12] = 0.5
    trimap[6:10, left + 2 : left + 10] = 1
    covered[6:12, left + 2 : left + 10] = 1
    covered[12:18, left + 2 : left + 10] = alpha
    colour = torch.where((torch.arange(HEIGHT) < 12)[None, :, None], RED, TYRE)
    return covered * colour + (1 - covered) * WALL, covered, trimap


def test_colours_are_cleared_of_what_shines_through_and_move_along_with_the_object() -> None:
    palettes = Palettes()
    picture, alpha, trimap = frame(left=20, alpha=0.92)
    palettes.add(3, 0, picture, WALL.expand_as(picture), alpha, trimap)
    _, _, here = frame(left=5)
    found = palettes.around(5, 0, here)
    assert found is not None
    dark = found.places[:, 0] > 11.5
    assert torch.allclose(found.colours[:, dark], TYRE[:, :, 0].expand(3, int(dark.sum())), atol=1e-4)
    assert dark.any() and (found.places[:, 1] > 6).all() and (found.places[:, 1] < 15).all()
    assert palettes.around(5, 1, here) is None, "of another object nothing is known"
    assert palettes.around(30, 0, here) is None, "nor of this one on frames far away"


def test_an_object_that_is_solid_nowhere_has_no_colours() -> None:
    palettes = Palettes()
    picture, alpha, trimap = frame(left=5)
    palettes.add(0, 0, picture, WALL.expand_as(picture), 0.5 * alpha, trimap)
    assert palettes.around(0, 0, trimap) is None


def test_what_is_as_dark_as_a_shadow_may_be_the_object_when_its_colour_is_known() -> None:
    picture, alpha, trimap = frame(left=5)
    palettes = Palettes()
    palettes.add(1, 0, picture, WALL.expand_as(picture), alpha, trimap)
    given = (picture[None], trimap[None, None])
    over = {
        "background": WALL.expand_as(picture)[None],
        "variance": torch.full((1, 1, HEIGHT, WIDTH), 1e-4),
        "expected": alpha[None, None],
    }
    foot = (slice(13, 17), slice(8, 14))
    without = closed_form_over_background(*given, **over, shadows=0.2).alpha[0, 0]
    found = closed_form_over_background(*given, **over, shadows=0.2, palette=palettes.around(0, 0, trimap)).alpha[0, 0]
    assert without[foot].mean() < 0.6 and found[foot].mean() > without[foot].mean() + 0.2


def test_a_palette_takes_the_place_of_the_pixels_known() -> None:
    picture, background = torch.zeros(3, 1, 9), torch.zeros(3, 1, 9)
    picture[0], background[1] = 0.25, 0.5  # as half of red 0.5 would be
    unknown, none = torch.ones(1, 9, dtype=torch.bool), torch.zeros(1, 9, dtype=torch.bool)
    picture[1] = 0.25
    variance = torch.full((1, 9), 1e-5)
    red = Palette(torch.tensor([[0.5], [0.0], [0.0]]), torch.tensor([[0.0, -3.5]]))
    assert background_evidence(picture, background, variance, unknown, none) is None
    found = background_evidence(picture, background, variance, unknown, none, palette=red)
    assert found is not None and (found.mean - 0.5).abs().max() < 0.06
