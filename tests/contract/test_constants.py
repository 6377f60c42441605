"""Constants that move a number, each with its source, against what the code has.

Whoever changes one of them changes it here as well, and says in the changelog what it moves.
"""

import dataclasses

import pytest

from algos import settings
from algos.registry import TABLE1
from algos.settings import resolve
from bench.report import claims, page, published, scores, stats
from bench.run import cell, checkpoint, evaluate, train
from bench.run.profiles import PROFILES
from envs import audit, facts, recipes
from envs.collect import behave as collect
from envs.collect import policy, tours, walker
from envs.families import locomotion
from envs.scores import TARGET_RETURNS
from envs.sources import d4rl
from envs.tasks import TASKS, get_task
from envs.worlds import antmaze, antmaze_robotics, maps, maze, pointmaze

D4RL = "Farama-Foundation/D4RL@89141a6"
DT = "kzl/decision-transformer@e2d82e6 gym/experiment.py"
IQL = "ikostrikov/implicit_q_learning@09d7002"
ROBOTICS = "gymnasium_robotics 1.4.2 envs/maze/maze_v4.py"
CORL = "corl-team/CORL@eeeeef2 configs/offline/dt/antmaze"
OURS = "chosen here"

# What it is, the code's value, the source's value, the source.
CONSTANTS = [
    # Environments. Robots are compared with gymnasium's in test_locomotion.py.
    ("mazes: cell, m", maps.CELL_SIZE, 4.0, f"{D4RL} d4rl/locomotion/maze_env.py"),
    ("mazes: radius of a goal, m", maze.GOAL_RADIUS, 0.5, f"{D4RL} goal_reaching_env.py"),
    ("robotics maze: radius of a goal, m", antmaze_robotics.GOAL_RADIUS, 0.45, ROBOTICS),
    ("robotics maze: noise of start and goal, m", antmaze_robotics._NOISE, 1.0, ROBOTICS),
    ("ant: MuJoCo steps in a step", antmaze.ANT.frame_skip, 5, f"{D4RL} d4rl/locomotion/ant.py"),
    (
        "ant: steps of an episode",
        antmaze.ANT.max_episode_steps,
        {"umaze": 700, "medium": 1000, "large": 1000},
        f"{D4RL} d4rl/locomotion/__init__.py",
    ),
    (
        "ball: steps of an episode",
        pointmaze.POINT.max_episode_steps,
        {"umaze": 105, "medium": 150, "large": 150},
        OURS,
    ),
    ("ball: MuJoCo steps in a step", pointmaze.POINT.frame_skip, 10, OURS),
    (
        "scores 0 and 100",
        {task.name.split("-")[0]: task.reference_returns for task in TASKS.values()},
        {
            "halfcheetah": (-280.178953, 12135.0),
            "hopper": (-20.272305, 3234.3),
            "walker2d": (1.629008, 4592.3),
            "antmaze": (0.0, 1.0),
            "pointmaze": (0.0, 1.0),
        },
        f"{D4RL} d4rl/infos.py; pointmaze as antmaze",
    ),
    ("DT's target: halfcheetah", TARGET_RETURNS["halfcheetah"], 12_000.0, DT),
    ("DT's target: hopper", TARGET_RETURNS["hopper"], 3600.0, DT),
    ("DT's target: walker2d", TARGET_RETURNS["walker2d"], 5000.0, DT),
    ("DT's target: antmaze", get_task("antmaze-umaze").spec.target_return, 1.0, CORL),
    ("DT's target: pointmaze", get_task("pointmaze-umaze").spec.target_return, 1.0, "as antmaze"),
    # Data.
    ("D4RL: the same observation", d4rl.SAME, 1e-6, f"{IQL} dataset_utils.py"),
    ("D4RL: a teleport, m in a step", d4rl.JUMP, 1.0, OURS),
    ("D4RL: share of teleports that are borne", d4rl.MOST_JUMPS, 0.01, OURS),
    (
        "D4RL: rows",
        {task.name: task.num_rows for task in TASKS.values() if task.family == "locomotion"},
        {
            f"{robot}-{data}": rows
            for data, sizes in {
                "medium": (1_000_000, 1_000_000, 1_000_000),
                "medium-replay": (202_000, 402_000, 302_000),
                "medium-expert": (2_000_000, 2_000_000, 2_000_000),
            }.items()
            for robot, rows in zip(("halfcheetah", "hopper", "walker2d"), sizes, strict=True)
        },
        "TFDS catalogue, d4rl_mujoco_*",
    ),
    (
        "D4RL: rows in mazes",
        {task.num_rows for task in TASKS.values() if task.kind.has_goals},
        {1_000_000},
        "TFDS catalogue, d4rl_antmaze",
    ),
    ("recipes: seed", recipes.SEED, 0, OURS),
    ("recipes: snapshots of a replay", locomotion.NUM_REPLAY_SNAPSHOTS, 12, OURS),
    ("recipes: lanes of a block", collect.MAX_LANES, 50, OURS),
    ("recipes: bounds of the log deviation", policy.LOG_STD_RANGE, (-5.0, 2.0), OURS),
    ("tours: noise on the ant's actions", tours.ANT_NOISE, 0.2, f"{D4RL} scripts/generation"),
    ("tours: spread of the ant's way, m", tours.ANT_SPREAD, 1.5, OURS),
    ("tours: steps at a goal", tours.STAY_STEPS, 50, OURS),
    ("tours: noise on the ball's actions", tours.POINT_NOISE, 0.5, OURS),
    ("tours: steps of a leg, of one start", (tours.LEG_STEPS, tours.POINT_STEPS), (20, 100), OURS),
    ("tours: spread of the ball's way, m", tours.POINT_SPREAD, 1.5, OURS),
    ("tours: change of mind, lingering", (tours.CHANGE_PROBABILITY, tours.LINGER_SHARE),
     (0.05, 0.25), OURS),
    ("walker: how far a target is seen, m", walker.TARGET_LIMIT, 4.0, OURS),
    ("audit: rows replayed", audit.NUM_REPLAYED, 1000, OURS),
    ("audit: action at its limit", facts._SATURATED, 0.999, OURS),
    # Learning. The settings of each method are compared in its own tests.
    ("steps after which critics are trusted", settings.STEPS_TO_TRUST_CRITICS, 50_000, OURS),
    (
        "values in pointmaze",
        settings.VALUES,
        {
            "pointmaze": {
                "discount": 0.97,
                "polyak": 0.05,
                "learning_rate": 2e-3,
                "reward_transform": "minus_one",
            }
        },
        OURS,
    ),
    ("purposes of draws", (train.INIT, train.EVAL, train.TRAIN), (0, 1, 2), OURS),
    ("purpose of episodes", evaluate.EVAL, 1, OURS),
    # Bookkeeping.
    ("seconds between checkpoints", cell.SECONDS_TO_LOSE, 300.0, OURS),
    ("checkpoints that are kept", checkpoint.KEPT, 2, OURS),
    # Statistics.
    ("confidence", stats.CONFIDENCE, 0.95, "arXiv:2108.13264"),
    ("resamples", stats.NUM_RESAMPLES, 2000, "rliable 1.2"),
    ("score that is optimal", stats.OPTIMAL, 100.0, "arXiv:2108.13264, gamma"),
    ("seed of the bootstrap", scores.SEED, 0, OURS),
    ("evaluations in the mean of the last", page.LAST_EVALUATIONS, 3, OURS),
    ("points behind that keep up", claims.PARITY, 15.0, OURS),
    ("points that are a breakdown", claims.COLLAPSE, 20.0, OURS),
    ("score of what is solved", claims.SOLVED, 60.0, OURS),
    (
        "where the post's numbers come from",
        published.POST_SOURCES,
        ("arXiv:2110.06169 Table 1", "arXiv:2112.10751"),
        "the post",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("found", "expected"), [row[1:3] for row in CONSTANTS], ids=[row[0] for row in CONSTANTS]
)
def test_a_constant_is_that_of_its_source(found, expected):
    assert found == expected


def test_every_constant_has_a_source_and_a_name_of_its_own():
    assert len({row[0] for row in CONSTANTS}) == len(CONSTANTS)
    assert all(source for *_, source in CONSTANTS)


# Seeds; then by family: share of D4RL's rows, steps, batch, widths, evaluations, episodes. Source
# of paper's episodes, 10 and 100: the defaults and README of ikostrikov/implicit_q_learning
# @09d7002. Its steps, batches and widths are the methods' own.
SIZES = {
    "smoke": (
        2,
        dict.fromkeys(
            ("locomotion", "antmaze", "pointmaze", "own"), (0.002, 200, 32, (32, 32), 2, 2)
        ),
    ),
    "quick": (
        3,
        {
            "locomotion": (0.08, 20_000, 64, (64, 64), 1, 5),
            "own": (0.08, 20_000, 64, (64, 64), 1, 5),
            "antmaze": (0.04, 10_000, 64, (64, 64), 1, 5),
            "pointmaze": (0.1, 20_000, 64, (64, 64), 1, 20),
        },
    ),
    "cpu": (
        3,
        {
            "locomotion": (0.2, 100_000, 64, (128, 128), 4, 10),
            "own": (0.2, 100_000, 64, (128, 128), 4, 10),
            "antmaze": (1.0, 150_000, 64, (256, 256), 1, 50),
            "pointmaze": (0.1, 20_000, 64, (128, 128), 4, 50),
        },
    ),
    "paper": (
        10,
        {
            "locomotion": (1.0, None, None, None, 10, 10),
            "own": (1.0, None, None, None, 10, 10),
            "antmaze": (1.0, None, None, None, 10, 100),
            "pointmaze": (1.0, None, None, None, 10, 100),
        },
    ),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_profile_has_its_sizes(name):
    num_seeds, sizes = SIZES[name]
    fields = ("scale", "num_steps", "batch_size", "hidden_dims", "num_evaluations", "num_episodes")
    found = {
        family: tuple(getattr(size, field) for field in fields)
        for family, size in PROFILES[name].sizes.items()
    }
    assert (PROFILES[name].num_seeds, found) == (num_seeds, sizes)


def test_there_are_no_other_profiles():
    assert sorted(PROFILES) == sorted(SIZES)


# Settings of Table 1's methods in quick and cpu, by family, beside those of the profile (SIZES).
# Sources: the measurements in algos/settings.py.
SCALED = {"normalize_observations": True, "layer_norm": True}
FAR = {"discount": 0.995, "polyak": 0.02}  # in cpu's antmaze, of all methods that learn values
NEAR = {"discount": 0.97, "polyak": 0.05, "learning_rate": 2e-3, "reward_transform": "minus_one"}
CHOSEN = {
    ("bc", "bc_10pct"): {
        "quick": [{"learning_rate": 1e-3}] * 3,
        "cpu": [{"learning_rate": 1e-3}] * 3,
    },
    ("rvs_r", "rvs_g"): {
        "quick": [{"normalize_inputs": True, "target_fraction": x} for x in (1.0, 1.0, 7.5)],
        "cpu": [{"normalize_inputs": True, "target_fraction": x} for x in (1.0, 1.0, 7.5)],
    },
    ("dt",): {
        profile: [
            {
                "learning_rate": 1e-3,
                "context": 5,
                "batch_size": 12,
                "num_steps": steps,
                "warmup_steps": steps // 10,
                "timestep_std": 0.02,
                "dropout": 0.0,
                "hidden_dims": (width, width),
            }
            for steps in num_steps
        ]
        for profile, num_steps, width in (
            ("quick", (2000, 1000, 2000), 64),
            ("cpu", (10_000, 15_000, 2000), 128),
        )
    },
    ("onestep",): {
        "quick": [
            SCALED | {"inverse_temperature": 0.4, "kl_weight": 2.5, "sarsa_steps": 10_000},
            SCALED | {"inverse_temperature": 2.0, "kl_weight": 5.0, "sarsa_steps": 5000},
            SCALED | NEAR | {"inverse_temperature": 20.0, "behaviour_steps": 5000},
        ],
        "cpu": [
            SCALED | {"inverse_temperature": 1.0, "kl_weight": 1.0, "sarsa_steps": 50_000},
            SCALED | FAR | {"inverse_temperature": 10.0, "behaviour_steps": 37_500},
            SCALED | NEAR | {"inverse_temperature": 20.0, "kl_weight": 2.5},
        ],
    },
    ("td3_bc",): {
        "quick": [
            SCALED | {"learning_rate": 1e-3, "q_weight": 1.0},
            SCALED | {"learning_rate": 1e-3, "q_weight": 0.5},
            SCALED | NEAR | {"q_weight": 10.0},
        ],
        "cpu": [
            SCALED | {"learning_rate": 1e-3, "q_weight": 2.5},
            SCALED | FAR | {"learning_rate": 1e-3, "q_weight": 2.5},
            SCALED | NEAR | {"q_weight": 10.0},
        ],
    },
    ("cql",): {
        "quick": [
            {"num_steps": 10_000, "num_samples": 2, "cloning_steps": 8000, "layer_norm": False},
            {"num_samples": 1, "cloning_steps": 4500, "conservative_weight": 1.0} | SCALED,
            {"num_samples": 1, "cloning_steps": 8000, "conservative_weight": 0.5} | SCALED | NEAR,
        ],
        "cpu": [
            {"num_steps": 50_000, "num_samples": 2, "cloning_steps": 2000, "layer_norm": False},
            {"num_samples": 1, "cloning_steps": 3000, "conservative_weight": 1.0} | SCALED | FAR,
            {"num_samples": 1, "cloning_steps": 8000, "conservative_weight": 0.5} | SCALED | NEAR,
        ],
    },
    ("iql",): {
        "quick": [
            SCALED | {"learning_rate": 1e-3, "inverse_temperature": 1.2, "expectile": 0.7},
            SCALED | {"learning_rate": 1e-3, "inverse_temperature": 2.0, "expectile": 0.9},
            SCALED | NEAR | {"inverse_temperature": 20.0, "expectile": 0.9},
        ],
        "cpu": [
            SCALED | {"learning_rate": 1e-3, "inverse_temperature": 3.0, "expectile": 0.7},
            SCALED | FAR | {"inverse_temperature": 3.0, "expectile": 0.9},
            SCALED | NEAR | {"inverse_temperature": 20.0, "expectile": 0.9},
        ],
    },
}


@pytest.mark.parametrize("profile", ["quick", "cpu"])
@pytest.mark.parametrize("name", TABLE1)
def test_a_method_has_its_settings_in_small_profiles(name, profile):
    (rows,) = (chosen[profile] for names, chosen in CHOSEN.items() if name in names)
    for family, chosen in zip(("locomotion", "antmaze", "pointmaze"), rows, strict=True):
        size = PROFILES[profile].sizes[family]
        found = dataclasses.asdict(resolve(name, family, size).config)
        sizes = {key: getattr(size, key) for key in ("num_steps", "batch_size", "hidden_dims")}
        expected = sizes | chosen
        exact = lambda value: round(value, 12) if isinstance(value, float) else value
        assert {key: exact(found[key]) for key in expected} == expected, family
