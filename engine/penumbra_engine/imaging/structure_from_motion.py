"""Camera poses and focal length from features, as a program: `python -m penumbra_engine.imaging.structure_from_motion
FOLDER`.

A process of its own, because pycolmap and OpenCV each bring a zlib, and one process with both crashes. FOLDER holds
images/NNNNNN.png (grey) and masks/NNNNNN.png.png (0 where features are not taken). It gets poses.npz: pose T x 3 x 4
world to camera, parameters (focal, x, y, radial; pixels, the corner of the picture being (0, 0)), points N x 3, error
(mean reprojection error in pixels). Exit code 3 when not every image could be placed.

The same images give the same answer: every draw has a seed, and one thread adds in one order.
"""

import sys
from pathlib import Path

import numpy as np

_SEED = 0
_OVERLAP = 10  # following frames that each frame is matched with
_TRACKS = 100  # a frame, the longest: the poses are found by these, and the other points when they are known


def main(folder: Path) -> int:
    """Solve the images of a folder (SIFT, sequential matching, global mapping: Pan et al. 2024)."""
    import pycolmap

    pycolmap.set_random_seed(_SEED)
    database = folder / "features.db"
    reader = pycolmap.ImageReaderOptions()
    reader.mask_path = str(folder / "masks")
    reader.camera_model = "SIMPLE_RADIAL"
    pycolmap.extract_features(
        database,
        folder / "images",
        camera_mode=pycolmap.CameraMode.SINGLE,
        reader_options=reader,
        extraction_options=pycolmap.FeatureExtractionOptions(use_gpu=False, num_threads=1),
    )
    pairing = pycolmap.SequentialPairingOptions(overlap=_OVERLAP, loop_detection=False)
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = _SEED
    pycolmap.match_sequential(
        database,
        pairing_options=pairing,
        matching_options=pycolmap.FeatureMatchingOptions(use_gpu=False, num_threads=1),
        verification_options=verification,
    )
    sparse = folder / "sparse"
    sparse.mkdir()
    options = pycolmap.GlobalPipelineOptions(num_threads=1, random_seed=_SEED)
    options.mapper.num_threads, options.mapper.random_seed = 1, _SEED
    options.mapper.keep_max_num_tracks = _TRACKS * len(list((folder / "images").iterdir()))
    solved = pycolmap.global_mapping(database, folder / "images", sparse, options)
    if not solved:
        return 3
    best = max(solved.values(), key=lambda s: s.num_reg_images())
    images = sorted((i for i in best.images.values() if i.has_pose), key=lambda i: i.name)
    if len(images) != len(list((folder / "images").iterdir())) or not best.points3D:
        return 3
    np.savez(
        folder / "poses.npz",
        pose=np.stack([i.cam_from_world().matrix() for i in images]),
        parameters=next(iter(best.cameras.values())).params,
        points=np.stack([p.xyz for p in best.points3D.values()]),
        error=best.compute_mean_reprojection_error(),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
