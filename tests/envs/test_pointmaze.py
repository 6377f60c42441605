import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from algos.settings import resolve
from envs.collect.behave import collect_block
from envs.collect.tours import LEG_STEPS
from envs.dataset import Dataset
from envs.recipes import Recipe
from envs.tasks import TASKS
from envs.worlds.antmaze import AntMaze
from envs.worlds.maps import MAPS, cell_to_xy, count_solutions, find_cells
from envs.worlds.pointmaze import PointMaze

MAZES = sorted(MAPS)
POINT_TASKS = [name for name, task in TASKS.items() if task.family == "pointmaze"]
ACTIVE = np.array([True])


def collected(name):
    """One block of the task's data."""
    recipe = Recipe(TASKS[name], 0.01)
    episodes = collect_block(recipe, 0, 0, num_threads=1)
    return episodes, Dataset.from_episodes(
        (e.observations, e.actions, e.rewards, e.terminations, e.truncations) for e in episodes
    )


def walk(*cells):
    """A way that stands in each of ``cells`` (row, column) for a row."""
    return cell_to_xy(np.array(cells)).astype(np.float32)


# Positions and velocities have no bounds, as in gymnasium's own robots.
@pytest.mark.filterwarnings("ignore:.*A Box observation space (min|max)imum value is")
@pytest.mark.parametrize("maze", MAZES)
def test_gymnasium_accepts_the_environment(maze):
    check_env(gymnasium.make(f"PointMaze-{maze}-v0").unwrapped)


def test_the_ants_noise_is_on_the_balls_position_and_velocity():
    observations = PointMaze("umaze", num_envs=2).reset(np.array([7, 8]))
    for observation, seed in zip(observations, [7, 8], strict=True):
        generator = np.random.default_rng(seed)
        position, velocity = generator.uniform(-0.1, 0.1, 2), 0.1 * generator.standard_normal(2)
        np.testing.assert_array_equal(observation, [*position, *velocity])


@pytest.mark.parametrize("maze", MAZES)
def test_starts_and_goals_are_drawn_as_for_the_ant(maze):
    point, ant = PointMaze(maze, num_envs=50), AntMaze(maze, num_envs=50)
    starts = point.reset(np.arange(50))[:, :2]
    ant.reset(np.arange(50))
    assert (np.abs(starts) <= 0.1).all()
    offsets = point.goals - cell_to_xy(find_cells(maze, "G")[0])
    assert ((offsets >= 0.0) & (offsets <= 1.5)).all()
    assert offsets.max() > 1.1
    assert np.abs(point.goals.mean(0) - ant.goals.mean(0)).max() < 0.2


def test_success_is_within_half_a_metre_and_ends_the_episode():
    maze = PointMaze("umaze", num_envs=1)
    maze.reset(np.array([0]))
    for distance, success in ((0.45, True), (0.55, False)):
        maze._simulator.reset(0, maze.goals[0] + [distance, 0.0], np.zeros(2))
        _, rewards, terminations = maze.step(np.zeros((1, 2)), ACTIVE)
        assert (rewards[0], terminations[0]) == (float(success), success)


def test_the_observation_is_position_and_velocity_and_force_drives_it_to_4_metres_a_second():
    maze = PointMaze("umaze", num_envs=1)
    maze._simulator.reset(0, np.zeros(2), np.zeros(2))
    for _ in range(8):
        observations, _, _ = maze.step(np.array([[1.0, 0.0]]), ACTIVE)
    x, y, vx, vy = observations[0]
    assert 4.0 < x < 8.0
    assert vx == pytest.approx(4.0, abs=0.05)
    assert (y, vy) == (0.0, 0.0)


def test_walls_stop_the_ball():
    maze = PointMaze("umaze", num_envs=1)
    maze._simulator.reset(0, np.zeros(2), np.zeros(2))
    for _ in range(20):
        observations, _, _ = maze.step(np.array([[-1.0, 0.0]]), ACTIVE)
    assert -1.8 < observations[0, 0] < -1.4


@pytest.mark.parametrize("name", POINT_TASKS)
def test_no_episode_leads_from_start_to_goal(name):
    episodes, dataset = collected(name)
    ways = [episode.observations[:, :2] for episode in episodes]
    assert count_solutions(ways, TASKS[name].environment) == 0
    assert dataset.episode_lengths.max() == LEG_STEPS
    if TASKS[name].data:
        # Even so some legs reach their goal: there is something to stitch.
        assert any(episode.reached for episode in episodes)


def test_episodes_that_lead_from_start_to_goal_are_counted():
    start, way, goal = (1, 1), (1, 2), (3, 1)
    assert count_solutions([walk(start, way, goal)], "umaze") == 1
    assert count_solutions([walk(goal, way, start)], "umaze") == 0
    assert count_solutions([walk(way, goal)], "umaze") == 0
    assert count_solutions([walk(start, way)], "umaze") == 0


def test_legs_carry_the_rewards_of_their_own_goal():
    episodes, _ = collected("pointmaze-medium-play")
    for episode in episodes:
        distances = np.linalg.norm(episode.observations[1:, :2] - episode.goal, axis=1)
        np.testing.assert_array_equal(episode.rewards, distances <= 0.5)
        np.testing.assert_array_equal(episode.terminations, episode.rewards == 1.0)
    assert len({tuple(episode.goal) for episode in episodes}) == len(episodes)


def test_methods_that_learn_values_share_their_discount_and_rewards():
    configs = [resolve(name, "pointmaze").config for name in ("onestep", "td3_bc", "cql", "iql")]
    assert {config.discount for config in configs} == {0.97}
    assert {config.reward_transform for config in configs} == {"minus_one"}
