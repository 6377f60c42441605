import numpy as np
import pytest

from envs.collect.walker import torso_up, walker_observation
from envs.worlds.maps import MAPS, Waypoints


def multiply(p, q):
    """Hamilton product of quaternions (w, x, y, z)."""
    a, b = p[0], np.asarray(p[1:])
    c, d = q[0], np.asarray(q[1:])
    return np.array([a * c - b @ d, *(a * d + c * b + np.cross(b, d))])


def turn(angle, xy):
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([cos * xy[0] - sin * xy[1], sin * xy[0] + cos * xy[1]])


def random_state(generator):
    qpos, qvel = generator.standard_normal(15), generator.standard_normal(14)
    qpos[3:7] /= np.linalg.norm(qpos[3:7])
    return qpos, qvel, qpos[:2] + generator.uniform(-6.0, 6.0, 2)


def observe(qpos, qvel, target):
    return walker_observation(qpos[None].copy(), qvel[None].copy(), target[None].copy())[0]


@pytest.mark.parametrize("angle", [0.4, 1.6, np.pi, -2.5])
def test_turning_ant_and_target_together_changes_nothing_it_sees(angle):
    generator = np.random.default_rng(0)
    rotation = (np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2))
    for _ in range(50):
        qpos, qvel, target = random_state(generator)
        turned_qpos, turned_qvel = qpos.copy(), qvel.copy()
        turned_qpos[:2] = turn(angle, qpos[:2])
        turned_qpos[3:7] = multiply(rotation, qpos[3:7])
        turned_qvel[:2] = turn(angle, qvel[:2])
        np.testing.assert_allclose(
            observe(turned_qpos, turned_qvel, turn(angle, target)),
            observe(qpos, qvel, target),
            atol=1e-9,
        )


def test_moving_ant_and_target_together_changes_nothing_it_sees():
    qpos, qvel, target = random_state(np.random.default_rng(1))
    moved, shift = qpos.copy(), np.array([3.0, -7.0])
    moved[:2] += shift
    np.testing.assert_allclose(
        observe(moved, qvel, target + shift), observe(qpos, qvel, target), atol=1e-9
    )


def test_a_target_is_seen_in_the_frame_of_the_body():
    qpos, qvel = np.zeros(15), np.zeros(14)
    # Facing +y: what lies ahead is +y of the world, what lies to the left is -x.
    qpos[3:7] = np.cos(np.pi / 4), 0.0, 0.0, np.sin(np.pi / 4)
    qvel[:2] = (-1.0, 2.0)
    seen = observe(qpos, qvel, np.array([0.0, 2.0]))
    np.testing.assert_allclose(seen[-2:], [0.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(seen[13:15], [2.0, 1.0], atol=1e-12)
    left = observe(qpos, qvel, np.array([-1.0, 0.0]))
    np.testing.assert_allclose(left[-2:], [0.0, 0.25], atol=1e-12)
    # Beyond 4 m only the direction counts.
    far = observe(qpos, qvel, np.array([30.0, 40.0]))
    np.testing.assert_allclose(far[-2:], [0.8, -0.6], atol=1e-12)


def test_opposite_quaternions_look_the_same():
    qpos, qvel, target = random_state(np.random.default_rng(2))
    opposite = qpos.copy()
    opposite[3:7] *= -1.0
    np.testing.assert_allclose(
        observe(opposite, qvel, target), observe(qpos, qvel, target), atol=1e-12
    )


@pytest.mark.parametrize(("tilt", "expected"), [(0.0, 1.0), (1 / 3, 0.5), (0.5, 0.0), (1.0, -1.0)])
def test_torso_up_is_the_cosine_of_the_tilt_whatever_the_heading(tilt, expected):
    half = tilt * np.pi / 2
    for heading in (0.0, 1.0, 3.0):
        about_z = (np.cos(heading / 2), 0.0, 0.0, np.sin(heading / 2))
        for axis in ((1.0, 0.0, 0.0), (0.0, 0.6, 0.0), (0.0, 0.8, 0.0)):
            axis = np.array(axis) / np.linalg.norm(axis)
            qpos = np.zeros((1, 15))
            qpos[0, 3:7] = multiply(about_z, (np.cos(half), *(np.sin(half) * axis)))
            assert torso_up(qpos)[0] == pytest.approx(expected, abs=1e-12)


def test_torso_up_does_not_need_a_unit_quaternion():
    qpos = np.zeros((1, 15))
    qpos[0, 3:7] = (2.0, 2.0, 0.0, 0.0)
    assert torso_up(qpos)[0] == pytest.approx(0.0)


def steps_between(free):
    """Number of moves between any two free cells, by relaxation until nothing gets shorter."""
    cells = [tuple(cell) for cell in np.argwhere(free).tolist()]
    steps = {(a, b): 0 if a == b else np.inf for a in cells for b in cells}
    changed = True
    while changed:
        changed = False
        for row, column in cells:
            for near in (
                (row + 1, column),
                (row - 1, column),
                (row, column + 1),
                (row, column - 1),
            ):
                if not free[near]:
                    continue
                for goal in cells:
                    if steps[near, goal] + 1 < steps[(row, column), goal]:
                        steps[(row, column), goal] = steps[near, goal] + 1
                        changed = True
    return cells, steps


@pytest.mark.parametrize("maze", sorted(MAPS))
def test_waypoints_are_steps_of_shortest_paths_for_every_cell_and_goal(maze):
    free = np.array([[mark != "1" for mark in row] for row in MAPS[maze]])
    cells, steps = steps_between(free)
    generator = np.random.default_rng(0)
    pairs = [(cell, goal) for cell in cells for goal in cells]
    centre = lambda cell: np.array([4.0 * (cell[1] - 1), 4.0 * (cell[0] - 1)])
    xy = np.array([centre(cell) for cell, _ in pairs]) + generator.uniform(
        -1.9, 1.9, (len(pairs), 2)
    )
    goals = np.array([centre(goal) for _, goal in pairs]) + generator.uniform(
        0, 1.5, (len(pairs), 2)
    )
    offsets = generator.uniform(-1.0, 1.0, goals.shape)
    targets = Waypoints(maze).target(xy, goals, offsets)
    for (cell, goal), goal_xy, target, offset in zip(pairs, goals, targets, offsets, strict=True):
        assert np.isfinite(steps[cell, goal])
        if steps[cell, goal] <= 1:
            assert (target == goal_xy).all()
            continue
        column, row = ((target - offset) / 4.0 + 1.0).round(9).tolist()
        step = (row, column)
        assert steps[cell, step] == 1
        assert steps[step, goal] == steps[cell, goal] - 1


def test_an_ant_off_the_map_is_led_without_an_error():
    target = Waypoints("umaze").target(
        np.array([[-99.0, 99.0]]), np.array([[0.0, 8.0]]), np.zeros(2)
    )
    assert np.isfinite(target).all()
