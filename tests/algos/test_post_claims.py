"""The post's claims on probe data whose best actions are known: who fails on what, who does not.

One episode that is played shows it: each method acts from its memory at the start of an episode.
An action is the median over seeds: of TD3+BC, which climbs Q from where it is, one seed in twelve
never gets past a dip in it.
"""

import dataclasses
import statistics

import jax
import jax.numpy as jnp
import pytest

from algos import bc, cql, dt, iql, onestep, td3_bc
from envs import toy as toys
from envs.toy import BAD_ACTION, CROSSING, GOOD_ACTION, START

SMALL = {"num_steps": 1000, "batch_size": 64, "hidden_dims": (16, 16), "learning_rate": 5e-3}
CRITIC = {"discount": 0.9, "polyak": 0.1}
PHASES = {"num_steps": 1800, "behaviour_steps": 600, "sarsa_steps": 600}

METHODS = {
    "bc": (bc, {"normalize_observations": False}),
    "bc_10pct": (bc, {"normalize_observations": False, "top_fraction": 0.1}),
    "bc_50pct": (bc, {"normalize_observations": False, "top_fraction": 0.5}),
    "onestep": (onestep, CRITIC | PHASES | {"inverse_temperature": 10.0}),
    "onestep_reverse_kl": (
        onestep,
        CRITIC | PHASES | {"improvement": "reverse_kl", "kl_weight": 0.03},
    ),
    "onestep_easy_bcq": (
        onestep,
        CRITIC | PHASES | {"improvement": "easy_bcq", "num_steps": 1200, "num_samples": 500},
    ),
    "td3_bc": (
        td3_bc,
        CRITIC | {"normalize_observations": False, "q_weight": 4.0, "num_steps": 3000},
    ),
    "cql": (
        cql,
        CRITIC
        | {"actor_learning_rate": 5e-3, "conservative_weight": 0.3, "cloning_steps": 100}
        | {"num_samples": 4},
    ),
    "iql": (
        iql,
        CRITIC | {"expectile": 0.95, "inverse_temperature": 20.0, "reward_transform": "raw"},
    ),
}
ONE_STEP = ("onestep", "onestep_reverse_kl", "onestep_easy_bcq")
FULL = ("td3_bc", "cql", "iql")
NUM_SEEDS = 5


@pytest.fixture(scope="module")
def action(train):
    """The first action at an observation, in [-1, 1], of a method trained on a probe; a median."""
    algorithms = {}

    def run(name, probe, observation):
        dataset, spec = probe
        if name not in algorithms:
            module, changes = METHODS[name]
            algorithms[name] = module.make(module.Config(**SMALL | changes), spec)
        algorithm = algorithms[name]

        def first_action(seed):
            state = train(algorithm, dataset, seed)
            memory = algorithm.reset(jax.random.key(seed), jnp.zeros(0))
            return float(
                algorithm.act(state, memory, jnp.asarray(observation), jnp.array(0.0))[0][0]
            )

        return statistics.median(map(first_action, range(NUM_SEEDS)))

    return run


def test_bc_learns_the_average_of_good_and_bad_and_the_best_tenth_the_good(action):
    assert action("bc", toys.mixed_quality(), START) == pytest.approx(-0.37, abs=0.1)
    assert action("bc_10pct", toys.mixed_quality(), START) == pytest.approx(GOOD_ACTION, abs=0.05)


@pytest.mark.parametrize("name", [*ONE_STEP, *FULL])
def test_methods_with_values_take_the_good_action_out_of_mostly_bad_ones(name, action):
    assert action(name, toys.mixed_quality(), START) == pytest.approx(GOOD_ACTION, abs=0.3)


def test_the_best_half_follows_the_better_episode_past_the_crossing(action):
    assert action("bc_50pct", toys.stitching(), CROSSING) == pytest.approx(BAD_ACTION, abs=0.05)


def test_conditional_bc_told_the_best_return_in_the_data_stays_on_its_path(train):
    # RvS-R: tests/algos/test_rvs.py.
    dataset, spec = toys.stitching()
    config = dt.Config(
        num_steps=600, batch_size=16, hidden_dims=(16, 16), learning_rate=5e-3, context=2,
        dropout=0.0, warmup_steps=50, return_scale=1.0,
    )  # fmt: skip
    algorithm = dt.make(config, dataclasses.replace(spec, target_return=0.0))
    state = train(algorithm, dataset)
    memory = algorithm.reset(jax.random.key(0), jnp.zeros(0))
    for observation in (START, CROSSING):
        arguments = (state, memory, jnp.asarray(observation), jnp.array(0.0))
        action, memory = algorithm.act(*arguments)
    assert float(action[0]) == pytest.approx(BAD_ACTION, abs=0.1)


@pytest.mark.parametrize("name", FULL)
def test_full_rl_leaves_the_better_episode_at_the_crossing(name, action):
    assert action(name, toys.stitching(), CROSSING) == pytest.approx(GOOD_ACTION, abs=0.3)


@pytest.mark.parametrize("name", ONE_STEP)
def test_one_step_rl_takes_the_decoy(name, action):
    # Q of the good action is 0.3 under the behaviour policy, that of the decoy 0.6 ...
    assert action(name, toys.decoy(), START) < 0.0


@pytest.mark.parametrize("name", FULL)
def test_full_rl_sees_past_the_decoy(name, action):
    # ... and 0.9 under the best one.
    assert action(name, toys.decoy(), START) > 0.4
