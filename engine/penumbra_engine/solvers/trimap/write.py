"""Write: mattes with the colour of their foreground, trimaps, and how far to trust them."""

import torch

from penumbra_engine.media import Shot
from penumbra_engine.solvers.alpha import Alphas
from penumbra_engine.solvers.delivery import Delivery, Destination
from penumbra_engine.solvers.layer import foreground_layer
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps
from penumbra_engine.solvers.trimap.propagate import Trimaps


def write_mattes(
    shot: Shot, plates: Plates, names: tuple[str, ...], trimaps: Trimaps, alphas: Alphas, to: Destination
) -> Steps[None]:
    """Write every frame of `to.frames`. Raises what write_picture raises."""
    for done, frame in enumerate(to.frames):
        index = shot.frames.index(frame)
        delivery = Delivery(shot, to, frame)
        plate, alpha = torch.from_numpy(plates.plate[index]), torch.from_numpy(alphas.alpha[index])
        for k, name in enumerate(names):
            delivery.write(name, "RGBA", foreground_layer(plate, alpha[k]), cropped=True)
            delivery.write(f"{name}_trimap", "A", torch.from_numpy(trimaps.trimaps[index][k : k + 1]))
        delivery.write("confidence", "A", torch.from_numpy(trimaps.confidence[index]).amin(0, keepdim=True))
        yield done + 1, len(to.frames)
