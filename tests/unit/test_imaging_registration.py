"""Homographies between pictures whose homography is known, and one solution for all."""

import cv2
import numpy as np
import pytest

from penumbra_engine.imaging.registration import Frame, Pair, matches, register_pair, solve_cameras

SIZE = WIDTH, HEIGHT = 320, 240
CORNERS = np.float32([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]])
KNOWN = np.array([[1.02, -0.03, 4.6], [0.035, 0.99, -3.3], [4e-5, -3e-5, 1]])


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    blurs = (cv2.GaussianBlur(random.random((height, width)).astype(np.float32), (0, 0), s) * s for s in (2, 5, 12))
    return cv2.normalize(sum(blurs), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def moved(points: np.ndarray, homography: np.ndarray) -> np.ndarray:
    return cv2.perspectiveTransform(np.asarray(points, np.float64)[:, None], homography)[:, 0]


def miss(found: np.ndarray, known: np.ndarray, size: tuple[int, int] = SIZE) -> float:
    """By how many pixels two homographies differ at most, over the picture."""
    grid = np.stack(np.meshgrid(np.linspace(0, size[0], 6), np.linspace(0, size[1], 6)), -1).reshape(-1, 2)
    return float(np.linalg.norm(moved(grid, found) - moved(grid, known), axis=1).max())


@pytest.fixture(scope="module")
def views() -> tuple[Frame, Frame]:
    """A wall, and the same wall seen through KNOWN."""
    wall = texture(HEIGHT + 100, WIDTH + 100)
    offset = np.array([[1, 0, -50], [0, 1, -50], [0, 0, 1.0]])
    second = cv2.warpPerspective(wall, KNOWN @ offset, SIZE, flags=cv2.INTER_CUBIC)
    return Frame(np.ascontiguousarray(wall[50:-50, 50:-50])), Frame(second)


def test_a_known_homography_is_found_to_a_tenth_of_a_pixel(views: tuple[Frame, Frame]) -> None:
    pair = register_pair(views, (3, 4), polish=True)
    assert pair is not None and (pair.source, pair.target) == (3, 4)
    assert miss(pair.homography, KNOWN) < 0.1
    assert pair.homography[2, 2] == 1 and pair.inliers > 50 and pair.residual < 1 and pair.correlation > 0.98


def test_features_alone_are_exact_to_a_twentieth_of_a_pixel(views: tuple[Frame, Frame]) -> None:
    pair = register_pair(views, (0, 1), polish=False)
    assert pair is not None and pair.correlation == 0
    assert miss(pair.homography, KNOWN) < 0.05


def test_backwards_is_the_inverse(views: tuple[Frame, Frame]) -> None:
    pair = register_pair((views[1], views[0]), (1, 0), polish=True)
    assert pair is not None
    assert miss(pair.homography, np.linalg.inv(KNOWN)) < 0.1


def test_matches_are_those_of_a_search_through_all_descriptors(views: tuple[Frame, Frame]) -> None:
    (points, descriptors), (others, other_descriptors) = views[0].features, views[1].features
    expected = []
    for point, descriptor in zip(points, descriptors, strict=True):
        distance = np.linalg.norm(other_descriptors.astype(np.float64) - descriptor, axis=1)
        nearest, second = np.argsort(distance)[:2]
        if distance[nearest] < 0.8 * distance[second]:
            expected.append([*point, *others[nearest]])
    found = matches(*views)
    assert found is not None and len(expected) > 50
    np.testing.assert_array_equal(np.hstack(found), np.array(expected))


def test_what_moves_on_its_own_does_not_pull(views: tuple[Frame, Frame]) -> None:
    first, second = views[0].luminance.copy(), views[1].luminance.copy()
    passer = texture(90, 70, seed=9)
    first[100:190, 60:130], second[100:190, 90:160] = passer, passer
    pair = register_pair((Frame(first), Frame(second)), (0, 1), polish=True)
    assert pair is not None
    assert miss(pair.homography, KNOWN) < 0.1


def test_a_large_picture_is_registered_small_and_answered_large() -> None:
    wall = np.ascontiguousarray(np.kron(texture(120, 960), np.ones((2, 2), np.uint8)))
    upside_down = np.array([[-1, 0, 1919], [0, -1, 239], [0, 0, 1.0]])  # pixel 0 becomes pixel 1919
    frames = Frame(wall), Frame(np.ascontiguousarray(wall[::-1, ::-1]))
    assert frames[0].luminance.shape == (120, 960)
    pair = register_pair(frames, (0, 1), polish=True)
    assert pair is not None
    assert miss(pair.homography, upside_down, (1920, 240)) < 0.1


def test_two_blank_pictures_alike_are_the_same_view() -> None:
    wall, other = (np.full((HEIGHT, WIDTH), 128, np.uint8) for _ in range(2))
    other[:40, :40] = 250  # something enters
    pair = register_pair((Frame(wall), Frame(other)), (0, 1), polish=True)
    assert pair is not None
    assert np.array_equal(pair.homography, np.eye(3)) and pair.inliers == 0


def test_blank_and_unrelated_pictures_have_no_homography(views: tuple[Frame, Frame]) -> None:
    blank, brighter = (Frame(np.full((HEIGHT, WIDTH), value, np.uint8)) for value in (128, 140))
    other = Frame(texture(HEIGHT, WIDTH, seed=77))
    assert register_pair((blank, brighter), (0, 1), polish=True) is None
    assert register_pair((views[0], blank), (0, 1), polish=True) is None
    assert register_pair((views[0], other), (0, 1), polish=True) is None


def cameras(count: int, reference: int) -> np.ndarray:
    """A pan that turns a little, at its reference the identity."""
    each = [
        np.array([[1, -0.01 * t, 9.0 * t], [0.01 * t, 1 + 0.004 * t, -2.0 * t], [2e-6 * t, -1e-6 * t, 1]])
        for t in range(-reference, count - reference)
    ]
    return np.stack(each)


def pairs_of(truth: np.ndarray, offsets: tuple[int, ...], error: float = 0.0) -> list[Pair]:
    """What registration would measure if it put each corner wrong by `error` pixels."""
    random = np.random.default_rng(3)
    pairs = []
    for offset in offsets:
        for source in range(len(truth) - offset):
            target = source + offset
            exact = moved(CORNERS, np.linalg.inv(truth[target]) @ truth[source])
            there = (exact + random.normal(0, error, exact.shape)).astype(np.float32)
            pairs.append(Pair(source, target, cv2.getPerspectiveTransform(CORNERS, there), 100, error, 0.0))
    return pairs


def worst(found: np.ndarray, truth: np.ndarray) -> float:
    return max(miss(f, t) for f, t in zip(found, truth, strict=True))


def test_static_pairs_give_static_cameras() -> None:
    still = np.tile(np.eye(3), (5, 1, 1))
    np.testing.assert_allclose(solve_cameras(pairs_of(still, (1, 2)), 5, 2, SIZE), still, atol=1e-6)


def test_exact_pairs_give_the_cameras() -> None:
    truth = cameras(9, 4)
    found = solve_cameras(pairs_of(truth, (1, 2, 4)), 9, 4, SIZE)
    assert np.array_equal(found[4], np.eye(3)) and worst(found, truth) < 1e-3


def test_noisy_pairs_agree_on_better_cameras_than_a_chain() -> None:
    truth = cameras(13, 6)
    together = solve_cameras(pairs_of(truth, (1, 2, 4, 8), 0.2), 13, 6, SIZE)
    chain = solve_cameras(pairs_of(truth, (1,), 0.2), 13, 6, SIZE)
    assert worst(together, truth) < 0.6 and worst(together, truth) < worst(chain, truth)


def test_one_bad_pair_bends_little() -> None:
    truth = cameras(9, 4)
    pairs = pairs_of(truth, (1, 2, 4))
    shifted = np.array([[1, 0, 20], [0, 1, 0], [0, 0, 1.0]]) @ pairs[12].homography
    pairs[12] = Pair(pairs[12].source, pairs[12].target, shifted, 100, 0.0, 0.0)
    assert worst(solve_cameras(pairs, 9, 4, SIZE), truth) < 1


def test_frames_that_nothing_connects_are_named() -> None:
    connected = [p for p in pairs_of(cameras(7, 3), (1, 2)) if p.target < 5 and p.source < 5]
    apart = [p for p in pairs_of(cameras(7, 3), (1,)) if p.source == 5]
    with pytest.raises(ValueError) as error:
        solve_cameras([*connected, *apart], 7, 3, SIZE)
    assert error.value.args[0] == [5, 6]


def test_corners_add_to_what_two_pictures_have_in_common(views: tuple[Frame, Frame]) -> None:
    alone = register_pair(views, (0, 1), polish=False)
    more = register_pair((Frame(views[0].luminance, True), Frame(views[1].luminance, True)), (0, 1), polish=False)
    assert alone is not None and more is not None
    assert more.inliers > 1.2 * alone.inliers
    assert miss(more.homography, KNOWN) < 0.1
