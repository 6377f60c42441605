import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs.worlds.antmaze import AntMaze, load_ant
from envs.worlds.maps import MAPS, cell_to_xy, find_cells, xy_to_cell

MAZES = sorted(MAPS)
GOAL_CENTRES = {"umaze": (0.0, 8.0), "medium": (20.0, 20.0), "large": (32.0, 24.0)}
SHAPES = {"umaze": (5, 5), "medium": (8, 8), "large": (9, 12)}
NUM_WALLS = {"umaze": 18, "medium": 38, "large": 62}
TIME_LIMITS = {"umaze": 700, "medium": 1000, "large": 1000}
ACTIVE = np.array([True])
STILL = np.zeros((1, 8))


def place(maze, xy, *, quaternion=(1.0, 0.0, 0.0, 0.0), height=0.75):
    """Put the one ant of ``maze`` at ``xy``, at rest."""
    simulator = maze._simulator
    qpos = simulator.model.qpos0.copy()
    qpos[:2], qpos[2], qpos[3:7] = xy, height, quaternion
    simulator.reset(0, qpos, np.zeros(simulator.model.nv))


# Positions and velocities have no bounds, as in gymnasium's own robots.
@pytest.mark.filterwarnings("ignore:.*A Box observation space (min|max)imum value is")
@pytest.mark.parametrize("maze", MAZES)
def test_gymnasium_accepts_the_environment(maze):
    check_env(gymnasium.make(f"AntMaze-{maze}-v0").unwrapped)


@pytest.mark.parametrize("maze", MAZES)
def test_the_gymnasium_environment_gives_the_batched_episode_of_the_same_seed(maze):
    single, batched = gymnasium.make(f"AntMaze-{maze}-v0"), AntMaze(maze, num_envs=3)
    many = batched.reset(np.array([4, 5, 6]))
    one, info = single.reset(seed=5)
    assert (info["goal"] == batched.goals[1]).all()
    assert not info["success"]
    for action in np.random.default_rng(0).uniform(-1.0, 1.0, (10, 8)).astype(np.float32):
        assert (one == many[1].astype(np.float32)).all()
        many, rewards, terminations = batched.step(np.tile(action, (3, 1)), np.ones(3, bool))
        one, reward, terminated, truncated, info = single.step(action)
        assert (reward, terminated, truncated) == (rewards[1], terminations[1], False)
        assert (info["goal"] == batched.goals[1]).all()


@pytest.mark.parametrize("maze", MAZES)
def test_episodes_start_at_the_origin_with_a_goal_of_their_own(maze):
    environment = AntMaze(maze, num_envs=50)
    seeds = np.arange(50)
    starts, goals = environment.reset(seeds)[:, :2].copy(), environment.goals.copy()
    offsets = goals - GOAL_CENTRES[maze]
    assert (np.abs(starts) <= 0.1).all()
    assert np.abs(starts).max() > 0.08
    assert (offsets >= 0.0).all()
    assert (offsets <= 1.5).all()
    # The sum of two uniform draws covers most of its range in 50 episodes.
    assert (offsets.min(0) < 0.4).all()
    assert (offsets.max(0) > 1.1).all()
    assert len(np.unique(goals, axis=0)) == 50
    np.testing.assert_array_equal(environment.reset(seeds)[:, :2], starts)
    np.testing.assert_array_equal(environment.goals, goals)


def test_d4rls_noise_is_on_every_position_and_velocity_and_the_goal_is_drawn_last():
    environment = AntMaze("umaze", num_envs=2)
    observations = environment.reset(np.array([7, 8]))
    for lane, seed in enumerate([7, 8]):
        generator = np.random.default_rng(seed)
        positions = environment._simulator.model.qpos0 + generator.uniform(-0.1, 0.1, 15)
        velocities = 0.1 * generator.standard_normal(14)
        goal = GOAL_CENTRES["umaze"] + generator.uniform(0.0, 1.0, 2) + generator.uniform(0, 0.5, 2)
        np.testing.assert_array_equal(observations[lane], [*positions, *velocities])
        np.testing.assert_allclose(environment.goals[lane], goal, rtol=1e-12)


def test_reward_and_end_come_exactly_within_half_a_metre_of_the_goal():
    environment = AntMaze("umaze", num_envs=1)
    environment.reset(np.array([0]))
    goal = environment.goals[0]
    outcomes = []
    for angle in np.linspace(0.0, 2.0 * np.pi, 9):
        for radius in np.linspace(0.42, 0.58, 9):
            place(environment, goal + radius * np.array([np.cos(angle), np.sin(angle)]))
            observations, rewards, terminations = environment.step(STILL, ACTIVE)
            x, y = observations[0, :2] - goal
            near = x**2 + y**2 <= 0.5**2
            assert rewards[0] == float(near)
            assert terminations[0] == near
            outcomes.append(near)
    assert 20 < sum(outcomes) < 60


def test_an_ant_at_the_goal_earns_nothing_while_it_is_inactive():
    environment = AntMaze("umaze", num_envs=1)
    environment.reset(np.array([0]))
    place(environment, environment.goals[0])
    _, rewards, terminations = environment.step(STILL, ~ACTIVE)
    assert (rewards[0], terminations[0]) == (0.0, False)
    _, rewards, terminations = environment.step(STILL, ACTIVE)
    assert (rewards[0], terminations[0]) == (1.0, True)


def test_an_overturned_ant_goes_on():
    environment = AntMaze("umaze", num_envs=1)
    environment.reset(np.array([0]))
    place(environment, (0.0, 0.0), quaternion=(0.0, 1.0, 0.0, 0.0), height=0.5)
    for _ in range(20):
        observations, rewards, terminations = environment.step(STILL, ACTIVE)
        assert (rewards[0], terminations[0]) == (0.0, False)
    _, x, y, _ = observations[0, 3:7]
    assert 1.0 - 2.0 * (x**2 + y**2) < -0.9
    assert observations[0, 2] < 0.5


@pytest.mark.parametrize("maze", MAZES)
def test_time_limits_are_those_of_d4rl(maze):
    assert AntMaze(maze, num_envs=1).spec.max_episode_steps == TIME_LIMITS[maze]
    assert gymnasium.spec(f"AntMaze-{maze}-v0").max_episode_steps == TIME_LIMITS[maze]


def test_a_umaze_episode_is_cut_at_its_700th_step():
    environment = gymnasium.make("AntMaze-umaze-v0")
    environment.reset(seed=0)
    ends = [environment.step(STILL[0].astype(np.float32))[2:4] for _ in range(700)]
    assert ends == [(False, False)] * 699 + [(False, True)]


@pytest.mark.parametrize("maze", MAZES)
def test_maps_have_their_shape_and_a_closed_border(maze):
    grid = np.array([list(row) for row in MAPS[maze]])
    assert grid.shape == SHAPES[maze]
    for edge in (grid[0], grid[-1], grid[:, 0], grid[:, -1]):
        assert (edge == "1").all()
    assert find_cells(maze, "R").tolist() == [[1, 1]]
    assert len(find_cells(maze, "G")) == 1
    assert len(find_cells(maze, "1")) == NUM_WALLS[maze]


@pytest.mark.parametrize("maze", MAZES)
def test_each_wall_stands_on_its_cell_of_the_map(maze):
    model = load_ant(maze)
    boxes = model.geom_type == mujoco.mjtGeom.mjGEOM_BOX
    expected = {
        (4.0 * (column - 1), 4.0 * (row - 1), 1.0)
        for row, marks in enumerate(MAPS[maze])
        for column, mark in enumerate(marks)
        if mark == "1"
    }
    assert boxes.sum() == NUM_WALLS[maze]
    assert {tuple(position) for position in model.geom_pos[boxes].tolist()} == expected
    assert (model.geom_size[boxes] == [2.0, 2.0, 1.0]).all()


def test_x_grows_with_the_column_and_y_with_the_row():
    assert cell_to_xy(np.array([1, 1])).tolist() == [0.0, 0.0]
    assert cell_to_xy(np.array([[1, 3], [4, 1]])).tolist() == [[8.0, 0.0], [0.0, 12.0]]
    positions = np.array([[8.0, 0.0], [9.9, -1.9], [10.1, -2.1], [-1.9, 12.0]])
    assert xy_to_cell(positions).tolist() == [[1, 3], [1, 3], [0, 4], [4, 1]]


def test_an_ant_pushed_against_a_wall_stays_out_of_it():
    environment = AntMaze("umaze", num_envs=1)
    place(environment, (0.0, 0.0))
    shove = np.zeros(14)
    shove[0] = -2.0
    lowest = 0.0
    for _ in range(30):
        environment._simulator.push(0, shove)
        observations, _, _ = environment.step(STILL, ACTIVE)
        lowest = min(lowest, observations[0, 0])
    assert -2.0 < lowest < -1.0


@pytest.mark.parametrize("maze", [*MAZES, None])
def test_the_model_has_d4rls_dynamics(maze):
    model = load_ant(maze)
    assert model.opt.timestep == 0.02
    assert (model.actuator_gear[:, 0] == 30.0).all()
    assert (model.geom_solimp[:, :3] == (0.8, 0.8, 0.01)).all()
    assert (model.actuator_ctrlrange == (-1.0, 1.0)).all()
    assert (model.nq, model.nv, model.nu) == (15, 14, 8)
    # The rest is gymnasium's file as it is, in which these numbers are D4RL's as well.
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4
    assert (model.dof_damping[6:] == 1.0).all()
    assert (model.dof_armature[6:] == 1.0).all()
    assert (model.geom_friction == (1.0, 0.5, 0.5)).all()
    assert (model.geom_margin == 0.01).all()
    limits = np.rad2deg(model.jnt_range[1:])
    np.testing.assert_allclose(limits[::2], [(-30.0, 30.0)] * 4)
    np.testing.assert_allclose(limits[1::2], [(30.0, 70.0), *[(-70.0, -30.0)] * 2, (30.0, 70.0)])
    assert model.body_mass.sum() == pytest.approx(0.91088, abs=1e-5)


def test_a_step_lasts_a_tenth_of_a_second():
    assert AntMaze("umaze", num_envs=1)._simulator.time_step == pytest.approx(0.1)


def test_the_observation_is_positions_then_velocities():
    environment = AntMaze("umaze", num_envs=2)
    environment.reset(np.array([0, 1]))
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (2, 8))
    observations, _, _ = environment.step(actions, np.ones(2, bool))
    assert observations.shape == (2, 29)
    assert environment.spec.observation_dim == 29
    assert environment.spec.goal_dim == 2
    for observation, data in zip(observations, environment._simulator._data, strict=True):
        assert (observation == np.concatenate([data.qpos, data.qvel])).all()
