"""What an object says of its alpha by passing other parts of the background."""

import torch

from penumbra_engine.matting.background_evidence import background_evidence
from penumbra_engine.matting.triangulation import by_triangulation, triangulation

SIZE = (3, 6, 8)
LEVELS = torch.linspace(0, 1, 11)


def pictures(alpha: float, count: int = 3, light: float = 1.0) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """The same foreground before backgrounds of all colours."""
    random = torch.Generator().manual_seed(1)
    colour, variance = torch.rand(SIZE, generator=random), torch.full(SIZE[1:], 1e-4)
    behind = [torch.rand(SIZE, generator=random) for _ in range(count)]
    return [(alpha * colour + (1 - alpha) * light * of, of, variance) for of in behind]


def heard(frames: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """How likely each of LEVELS is by frames alone, pixels x levels."""
    told = triangulation(*frames[0][:2], frames[1:]).flatten(1)
    return by_triangulation(torch.zeros(told.shape[1], len(LEVELS)), (1 - LEVELS).expand(told.shape[1], -1), told)


def test_alpha_is_told_without_knowing_the_foreground() -> None:
    for alpha in (0.0, 0.3, 1.0):
        assert (LEVELS[heard(pictures(alpha)).argmax(1)] - alpha).abs().max() < 1e-5


def test_a_frame_that_is_of_no_use_says_nothing() -> None:
    frames = pictures(0.3)
    useless = [(torch.zeros(SIZE), torch.ones(SIZE), torch.full(SIZE[1:], torch.inf))]
    assert torch.equal(heard([*frames, *useless]), heard(frames))
    assert heard([frames[0], *useless]).abs().max() == 0


def test_what_did_not_move_along_says_little() -> None:
    frames = pictures(1.0, count=2)
    astray = [frames[0], (frames[1][0].flip(0), *frames[1][1:])]
    spread = [found.max(1).values - found.min(1).values for found in (heard(frames), heard(astray))]
    assert spread[1].median() < 0.01 * spread[0].median()


def test_a_shadow_lets_through_what_it_leaves_of_the_light() -> None:
    frames = pictures(0.0, light=0.4)
    picture, background, variance = frames[0]
    unknown = torch.zeros(SIZE[1:], dtype=torch.bool)
    unknown[:, :4] = True
    told, found = triangulation(picture, background, frames[1:]), {}
    for shadows in (0.0, 0.2):
        evidence = background_evidence(picture, background, variance, unknown, ~unknown, shadows, told=told)
        assert evidence
        found[shadows] = evidence.mean
    assert found[0.2].max() < 0.05 and found[0.0].min() > 0.4
