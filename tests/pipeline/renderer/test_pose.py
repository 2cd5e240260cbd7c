from __future__ import annotations

from math import hypot

import pytest

from pipeline.renderer.pose import CROP_CHANCE, Shell, Turn, sample_pose
from pipeline.renderer.vocabulary import VOCABULARY

AHEAD = Turn(0.0, 0.0)


def test_a_head_looking_ahead_projects_straight() -> None:
    assert AHEAD.project(0.3, -0.2, 0.9) == pytest.approx((0.3, -0.2))


def test_the_nose_follows_the_yaw() -> None:
    assert Turn(0.3, 0.0).on_face(0.0, 0.3)[0] > 0.1
    assert Turn(-0.3, 0.0).on_face(0.0, 0.3)[0] < -0.1


def test_seen_from_above_the_face_falls_lower() -> None:
    assert Turn(0.0, 0.15).on_face(0.0, 0.3)[1] > AHEAD.on_face(0.0, 0.3)[1] + 0.05


def test_the_back_of_the_head_faces_away() -> None:
    assert Turn(0.2, 0.0).facing(0.0, 1.0) > 0
    assert Turn(0.2, 0.0).facing(0.0, -1.0) < 0


def test_several_points_project_like_single_ones() -> None:
    turn = Turn(0.2, 0.1)
    assert turn.on_faces([(0.1, 0.2), (-0.3, 0.4)]) == [turn.on_face(0.1, 0.2), turn.on_face(-0.3, 0.4)]


def test_a_shell_rises_from_its_rim_to_its_top() -> None:
    shell = Shell(0.9, 0.8, 1.0, -0.4)
    assert shell.spot(AHEAD, 0.0, 0.0) == pytest.approx((0.0, -0.4))
    assert shell.spot(AHEAD, 0.0, 1.5707963) == pytest.approx((0.0, -1.2), abs=1e-6)


@pytest.mark.parametrize("yaw", [-0.4, -0.1, 0.0, 0.25])
def test_a_ring_runs_from_left_to_right_however_the_head_is_turned(yaw: float) -> None:
    across = [x for x, _ in Shell(0.9, 0.8, 1.0, -0.4).ring(Turn(yaw, 0.1), 0.2)]
    assert across == sorted(across)


@pytest.mark.parametrize("turn", [AHEAD, Turn(0.4, 0.1), Turn(-0.3, -0.08)])
def test_an_outline_encloses_every_point_that_faces_the_camera(turn: Turn) -> None:
    shell = Shell(0.9, 0.8, 1.05, -0.4)
    outline = shell.outline(turn)
    reach = max(hypot(x, y + 0.4) for x, y in outline) + 0.02
    spots = [
        shell.spot(turn, longitude / 10, latitude / 10)
        for longitude in range(-12, 13, 3)
        for latitude in range(0, 15, 3)
    ]
    assert all(hypot(x, y + 0.4) <= reach for x, y in spots)


@pytest.mark.parametrize("framing", VOCABULARY["framing"])
def test_most_heads_are_inside_the_picture(framing: str) -> None:
    poses = [sample_pose(framing, seed) for seed in range(200)]
    whole = [pose for pose in poses if not pose.cropped]
    assert all(0.1 < pose.x < 0.9 for pose in poses)
    assert all(pose.y - 1.05 * pose.unit > 0 for pose in whole)
    assert all(pose.y + pose.unit < 1 for pose in whole)


def test_off_centre_heads_are_off_centre() -> None:
    assert all(abs(sample_pose("off_centre", seed).x - 0.5) >= 0.15 for seed in range(50))


def test_a_few_percent_of_the_heads_are_cropped() -> None:
    share = sum(sample_pose("arm_length", seed).cropped for seed in range(1000)) / 1000
    assert 0.5 * CROP_CHANCE < share < 1.6 * CROP_CHANCE


def test_a_pose_scales_with_the_picture() -> None:
    pose = sample_pose("close_up", 9)
    (x, y), unit = pose.pixels((96, 128))
    (x2, y2), unit2 = pose.pixels((192, 256))
    assert (2 * x, 2 * y, 2 * unit) == pytest.approx((x2, y2, unit2))


def test_a_tall_picture_keeps_the_head_within_its_width() -> None:
    _, unit = sample_pose("close_up", 9).pixels((90, 200))
    assert 2 * 0.8 * unit < 90


def test_another_framing_keeps_roll_and_turn() -> None:
    near, far = sample_pose("close_up", 12), sample_pose("half_body", 12)
    assert (near.roll, near.turn) == (far.roll, far.turn)
