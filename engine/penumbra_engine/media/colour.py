"""Colour spaces of the shot, by OpenColorIO: from the plate's space to scene-linear, and to linear Rec.709."""

import difflib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PyOpenColorIO as ocio

from penumbra_engine.errors import InputError, UsageError

#: The config that is used when neither the job nor $OCIO names one, and to relate the spaces of other configs to linear
#: Rec.709. The newest that every OpenColorIO we support carries, and one that has all the interop names.
#: Pinned by its full name: `ocio://default` and `...-latest` become another config with every OpenColorIO release.
BUILT_IN = "cg-config-v2.2.0_aces-v1.3_ocio-v2.4"

_MOVING = ("default", "cg-config-latest", "studio-config-latest")


class _Known(NamedTuple):
    """A space that configs agree on but spell differently; the first name is its interop ID."""

    names: tuple[str, ...]
    chromaticities: tuple[float, ...]


_REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
_P3_D65 = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.3290)
_REC2020 = (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.3290)
_AP0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
_AP1 = (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)

_LIN_REC709 = _Known(
    (
        "lin_rec709_scene",
        "lin_rec709_srgb",
        "lin_rec709",
        "lin_srgb",
        "Linear Rec.709 (sRGB)",
        "Linear Rec.709",
        "Utility - Linear - Rec.709",
        "Utility - Linear - sRGB",
    ),
    _REC709,
)
_KNOWN = (
    _LIN_REC709,
    _Known(("lin_ap1_scene", "lin_ap1", "ACEScg", "ACES - ACEScg"), _AP1),
    _Known(("lin_ap0_scene", "lin_ap0", "aces2065_1", "ACES2065-1", "ACES - ACES2065-1"), _AP0),
    _Known(("lin_p3d65_scene", "lin_p3d65", "Linear P3-D65", "Utility - Linear - P3-D65"), _P3_D65),
    _Known(("lin_rec2020_scene", "lin_rec2020", "Linear Rec.2020", "Utility - Linear - Rec.2020"), _REC2020),
    _Known(
        (
            "srgb_rec709_scene",
            "srgb_tx",
            "srgb_texture",
            "srgb_encoded_rec709_srgb",
            "sRGB - Texture",
            "sRGB Encoded Rec.709 (sRGB)",
            "Utility - sRGB - Texture",
            "sRGB",
        ),
        _REC709,
    ),
)


class _Transform:
    """One OpenColorIO transform at full float accuracy; None is the identity, bit for bit."""

    def __init__(self, processor: ocio.Processor | None) -> None:
        self.id = processor.getCacheID() if processor else "identity"
        # The default optimisation approximates powers and logarithms; these are pictures to be given back.
        self._cpu = processor and processor.getOptimizedCPUProcessor(
            ocio.BIT_DEPTH_F32, ocio.BIT_DEPTH_F32, ocio.OPTIMIZATION_LOSSLESS
        )

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        if rgb.dtype != np.float32 or rgb.shape[-1] != 3:
            raise ValueError(f"expected float32 pixels with 3 channels, got {rgb.dtype} {rgb.shape}")
        if self._cpu is None:
            return rgb
        result = rgb.copy(order="C")  # transformed in place
        if result.size:
            self._cpu.applyRGB(result.reshape(-1, 1, 3))
        return result


@dataclass(frozen=True)
class ColourSpace:
    """The colour space of a plate, within its config.

    name: as the config spells it. is_linear: whether it is scene-linear. working: the name of the scene-linear space
    that is solved and written in: the space itself when it is linear, else the config's role scene_linear.
    chromaticities, interop_id: of the working space, None where not known. config_id: config and transforms with a
    hash of their content, for provenance and cache keys.
    """

    name: str
    is_linear: bool
    working: str
    chromaticities: tuple[float, ...] | None
    interop_id: str | None
    config_id: str
    _to_working: _Transform = field(repr=False)
    _to_lin_rec709: _Transform = field(repr=False)

    def to_working(self, rgb: np.ndarray) -> np.ndarray:
        """Pixels (... x 3 float32) of this space in the working space; the same array when the space is linear."""
        return self._to_working(rgb)

    def working_to_lin_rec709(self, rgb: np.ndarray) -> np.ndarray:
        """Pixels (... x 3 float32) of the working space in linear Rec.709."""
        return self._to_lin_rec709(rgb)


class Config:
    """An OpenColorIO config. `name` is the file or built-in it came from."""

    def __init__(self, config: ocio.Config, name: str) -> None:
        self._config = config
        self.name = name

    @classmethod
    def load(cls, config: str = "", argument: str = "--ocio") -> "Config":
        """The config of a file, or the built-in of that name. "" takes $OCIO, else the pinned built-in.

        Raises InputError when the file is missing or is no config, and for names that mean another config in every
        OpenColorIO release.
        """
        said = argument
        if not config and (config := os.environ.get("OCIO", "")):
            said = "$OCIO"
        config = config or BUILT_IN
        built_in = config.removeprefix("ocio://")
        names = [entry[0] for entry in ocio.BuiltinConfigRegistry().getBuiltinConfigs()]
        if built_in in _MOVING:
            raise InputError(
                f"{said} {config}: this name means another config in every OpenColorIO release; "
                f"give the full name, such as {BUILT_IN}",
                argument,
            )
        if built_in in names:
            return cls(ocio.Config.CreateFromBuiltinConfig(built_in), built_in)
        if built_in != config:
            raise InputError(f"{said} {config}: no such built-in config; there are {', '.join(names)}", argument)
        if not Path(config).is_file():
            raise InputError(
                f"{said} {config}: no such file; name an OpenColorIO config file or a built-in such as {BUILT_IN}",
                argument,
            )
        try:
            # Not validated: displays and views are no concern of ours, and Natron's own config lists one it has not.
            loaded = ocio.Config.CreateFromFile(config)
        except ocio.Exception as error:
            raise InputError(f"{said} {config} is not a usable OpenColorIO config: {error}", argument) from error
        return cls(loaded, config)

    def space(self, name: str, argument: str = "--colorspace") -> ColourSpace:
        """The space of that name, alias or role, or of a name that other configs use for the same space.

        Raises UsageError for an empty name, InputError when the config has no such space, when it is one for data or
        for a display, or when the config does not say how it relates to linear Rec.709.
        """
        if not name.strip():
            raise UsageError(
                f"{argument} is empty; name the plate's colour space, such as ACEScg or scene_linear", argument
            )
        space = self._find(name)
        if space is None:
            raise InputError(
                f"{argument} {name!r}: no such colour space, alias or role in {self.name}. {self._offers(name)}",
                argument,
            )
        if space.isData():
            raise InputError(
                f"{argument} {name!r} is a space for data, not for colour; name the space the plate is in, "
                "such as ACEScg or scene_linear",
                argument,
            )
        if space.getReferenceSpaceType() == ocio.REFERENCE_SPACE_DISPLAY:
            raise InputError(
                f"{argument} {name!r} is the space of a display; a plate is in a scene space, such as srgb_tx for "
                "PNG and JPEG or scene_linear for EXR",
                argument,
            )
        linear = self._config.isColorSpaceLinear(space.getName(), ocio.REFERENCE_SPACE_SCENE)
        working = space if linear else self._find("scene_linear")
        if working is None:
            raise InputError(
                f"{argument} {name!r} is not scene-linear and {self.name} has no role scene_linear to solve in; "
                "add the role to the config",
                argument,
            )
        try:
            to_working = _Transform(None if linear else self._config.getProcessor(space.getName(), working.getName()))
            to_lin_rec709 = _Transform(self._to_lin_rec709(working.getName()))
        except ocio.Exception as error:
            raise InputError(f"{argument} {name!r}: {self.name} can't convert it: {error}", argument) from error
        known = next((known for known in _KNOWN if self._is(working, known)), None)
        return ColourSpace(
            name=space.getName(),
            is_linear=linear,
            working=working.getName(),
            chromaticities=known.chromaticities if known else None,
            interop_id=known.names[0] if known else None,
            config_id=self._id(to_working, to_lin_rec709),
            _to_working=to_working,
            _to_lin_rec709=to_lin_rec709,
        )

    def _find(self, name: str) -> ocio.ColorSpace | None:
        """The space of that name, alias or role; failing that, of a name that means the same in other configs."""
        found = self._config.getColorSpace(name)
        if found is not None:
            return found
        same = (known for known in _KNOWN if name.casefold() in (spelled.casefold() for spelled in known.names))
        spellings = (spelled for known in same for spelled in known.names)
        return next((space for space in map(self._config.getColorSpace, spellings) if space is not None), None)

    def _is(self, space: ocio.ColorSpace, known: _Known) -> bool:
        found = self._find(known.names[0])
        return found is not None and found.getName() == space.getName()

    def _to_lin_rec709(self, working: str) -> ocio.Processor:
        """From a linear space to linear Rec.709: within the config if it has that space, else by way of the pinned
        built-in and the role aces_interchange, or a space that the table knows and both configs have."""
        inside = self._find(_LIN_REC709.names[0])
        if inside is not None:
            return self._config.getProcessor(working, inside.getName())
        built_in = ocio.Config.CreateFromBuiltinConfig(BUILT_IN)
        target = _LIN_REC709.names[0]
        if self._config.hasRole("aces_interchange"):
            return ocio.Config.GetProcessorFromConfigs(self._config, working, built_in, target)
        for known in _KNOWN:
            bridge = self._find(known.names[0])
            if bridge is not None:
                return ocio.Config.GetProcessorFromConfigs(
                    self._config, working, bridge.getName(), built_in, target, known.names[0]
                )
        raise InputError(
            f"{self.name} doesn't say what its colours are: it has no role aces_interchange and none of the spaces "
            f"{', '.join(known.names[1] for known in _KNOWN)}, by these or other usual names; add the role",
            "--ocio",
        )

    def _id(self, *transforms: _Transform) -> str:
        # The transforms' own ids take in the content of look-up tables, which are files beside the config.
        parts = [self._config.serialize(), *(transform.id for transform in transforms)]
        return f"{Path(self.name).name}@{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"

    def _offers(self, name: str) -> str:
        """Close matches and roles, for a message."""
        spellings = {spelled.casefold(): spelled for spelled in self._spellings()}
        close = difflib.get_close_matches(name.casefold(), spellings, n=5, cutoff=0.5)
        roles = [f"{role} = {space}" for role, space in self._config.getRoles()]
        near = f"Close to it: {', '.join(spellings[spelled] for spelled in close)}. " if close else ""
        return f"{near}Roles: {', '.join(roles) or 'none'}"

    def _spellings(self) -> Iterator[str]:
        for space in self._config.getColorSpaces(ocio.SEARCH_REFERENCE_SPACE_SCENE, ocio.COLORSPACE_ALL):
            yield space.getName()
            yield from space.getAliases()
