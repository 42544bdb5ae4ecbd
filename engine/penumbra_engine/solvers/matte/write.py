"""Write: mattes with the colour of their foreground, and how far to trust them."""

import numpy as np
import torch

from penumbra_engine.imaging.morphology import dilate
from penumbra_engine.media import Shot
from penumbra_engine.solvers.delivery import Delivery, Destination
from penumbra_engine.solvers.layer import foreground_layer
from penumbra_engine.solvers.matte.predict import Mattes
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps

_MASK_MARGIN = 1.5  # px: a rough mask should rather hold too much


def write_mattes(
    shot: Shot, plates: Plates, names: tuple[str, ...], mattes: Mattes, as_mask: bool, to: Destination
) -> Steps[None]:
    """Write every frame of `to.frames`. as_mask: mattes as rough masks, 0 or 1. Raises what write_picture raises."""
    for done, frame in enumerate(to.frames):
        index = shot.frames.index(frame)
        delivery = Delivery(shot, to, frame)
        plate = torch.from_numpy(plates.plate[index])
        for name, matte in zip(names, mattes.mattes[index], strict=True):
            alpha = dilate(matte > 0.5, _MASK_MARGIN).astype(np.float32) if as_mask else matte
            delivery.write(name, "RGBA", foreground_layer(plate, torch.from_numpy(alpha)), cropped=True)
        delivery.write("confidence", "A", torch.from_numpy(mattes.confidence[index]))
        yield done + 1, len(to.frames)
