"""Write: the files of the contract, frame by frame, checked before they are written."""

import torch

from penumbra_engine.media import Shot
from penumbra_engine.solvers.clean_plate.matte import Matte
from penumbra_engine.solvers.delivery import Delivery, Destination
from penumbra_engine.solvers.omnimatte.canvas import Canvas
from penumbra_engine.solvers.omnimatte.write import Written, check_recomposition
from penumbra_engine.solvers.plates import Plates
from penumbra_engine.solvers.steps import Steps


def write_mattes(
    shot: Shot, plates: Plates, canvas: Canvas, matte: Matte, names: tuple[str, ...], to: Destination
) -> Steps[Written]:
    """Write every frame of `to.frames`; each file appears whole or not at all. names: of the layers, front to back.

    Raises EngineError when a frame would not give its plate back, and what write_picture raises.
    """
    written = Written()
    for done, frame in enumerate(to.frames):
        index = shot.frames.index(frame)
        plate = torch.from_numpy(plates.plate[index])
        layers, background = matte.read(index, plates, canvas, merge=len(names) == 1)
        check_recomposition(written, frame, plate, layers, background)
        delivery = Delivery(shot, to, frame)
        for name, layer in zip(names, layers, strict=True):
            delivery.write(name, "RGBA", layer, cropped=True)
        delivery.write("background", "RGBA", torch.cat([background, torch.ones_like(plate[:1])]))
        delivery.write("confidence", "A", torch.from_numpy(matte.confidence[index]))
        yield done + 1, len(to.frames)
    return written
