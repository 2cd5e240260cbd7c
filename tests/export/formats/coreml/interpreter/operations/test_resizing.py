"""Resizing: programs built with coremltools, compared with torch and with the grids of the specification."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from export.formats.coreml.interpreter.operations import OPERATIONS
from pipeline.errors import UnmeasurableError
from tests.export.formats.coreml.interpreter.mil_program import check, run_mil

X = torch.sin(torch.arange(24, dtype=torch.float32)).reshape(1, 2, 3, 4)
RAMP = torch.tensor([[0.0, 1.0]]).reshape(1, 1, 1, 2)


@pytest.mark.parametrize("corners", [True, False])
def test_bilinear_upsampling_equals_torchs(corners: bool) -> None:
    check(
        lambda mb, x: mb.upsample_bilinear(x=x, scale_factor_height=2.0, scale_factor_width=2.5, align_corners=corners),
        lambda x: functional.interpolate(x, size=(6, 10), mode="bilinear", align_corners=corners),
        X,
    )


def test_nearest_upsampling_equals_torchs() -> None:
    check(
        lambda mb, x: mb.upsample_nearest_neighbor(x=x, scale_factor_height=2, scale_factor_width=3),
        lambda x: functional.interpolate(x, size=(6, 12), mode="nearest"),
        X,
    )
    check(
        lambda mb, x: mb.resize_nearest_neighbor(x=x, target_size_height=5, target_size_width=3),
        lambda x: functional.interpolate(x, size=(5, 3), mode="nearest"),
        X,
    )


GRIDS = {
    "UNALIGN_CORNERS": [0.0, 0.1, 0.5, 0.9, 1.0],
    "STRICT_ALIGN_CORNERS": [0.0, 0.25, 0.5, 0.75, 1.0],
    "ALIGN_CORNERS": [0.0, 0.25, 0.5, 0.75, 1.0],
    "DEFAULT": [0.0, 0.4, 0.8, 1.0, 1.0],
    "OFFSET_CORNERS": [0.1, 0.3, 0.5, 0.7, 0.9],
}


@pytest.mark.parametrize("mode", GRIDS)
def test_a_resized_ramp_shows_the_grid_of_the_specification(mode: str) -> None:
    (found,) = run_mil(
        lambda mb, x: mb.resize_bilinear(x=x, target_size_height=1, target_size_width=5, sampling_mode=mode), RAMP
    )
    torch.testing.assert_close(found.reshape(-1), torch.tensor(GRIDS[mode]))


def test_one_pixel_is_the_middle_where_corners_align() -> None:
    given = {"x": RAMP, "target_size_height": 1, "target_size_width": 1}
    assert OPERATIONS["resize_bilinear"]({**given, "sampling_mode": "ALIGN_CORNERS"}).item() == 0.5
    assert OPERATIONS["resize_bilinear"]({**given, "sampling_mode": "STRICT_ALIGN_CORNERS"}).item() == 0.0


def test_an_unknown_sampling_is_refused() -> None:
    with pytest.raises(UnmeasurableError, match="sampling_mode CUBIC"):
        OPERATIONS["resize_bilinear"]({"x": RAMP, "target_size_width": 3, "sampling_mode": "CUBIC"})
