"""Settings that no paper gives, with what was measured, and how a method gets all its settings.

A method's file has the settings of its paper. This file has those of pointmaze, which is in no
paper, and those that a method needs where it is trained with fewer steps, smaller batches or
narrower networks than published. Scores in the comments are normalized ones, on regenerated data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from algos import core, cql, dt, iql, onestep, rvs, td3_bc
from algos.registry import get_algorithm
from envs.family import Size

PUBLISHED = Size()


class Run(NamedTuple):
    """A `Size` with the published numbers in place of None."""

    num_steps: int
    batch_size: int
    hidden_dims: tuple[int, ...]


# By field, a value or a function (the Config at its published size, Run) -> value.
Settings = Mapping[str, Any | Callable[[Any, Run], Any]]

EVERYWHERE = "everywhere"  # in place of a family; settings of the family itself win
PROFILE = "profile"  # the origin of a size

# By family, at the published size too: settings of every method that learns values.
VALUES: dict[str, Settings] = {
    # A discount of 0.97 looks 33 steps ahead, and the way to a goal takes 50 to 70. A few thousand
    # updates then carry values from end to end, and large steps of targets and networks let few of
    # these updates wait for the target.
    "pointmaze": {
        "discount": 0.97,
        "polyak": 0.05,
        "learning_rate": 2e-3,
        "reward_transform": "minus_one",
    },
}

# By method and family, beside `VALUES`.
UNPUBLISHED: dict[ModuleType, dict[str, Settings]] = {
    onestep: {
        # The paper does not run antmaze. Rewards and temperature are IQL's there.
        "antmaze": {"inverse_temperature": 10.0, "reward_transform": "minus_one"},
        # The temperature is IQL's.
        "pointmaze": {"inverse_temperature": 50.0},
    },
    # A success returns 1, as in antmaze. The data's episodes are legs of 20 steps, so that most of
    # an evaluation is at timesteps whose embeddings stay as they start.
    dt: {"pointmaze": {"return_scale": 1.0}},
    # An evaluation in umaze takes 105 steps, one in a larger maze 150, but an episode of the data
    # is a leg of 20 steps. A leg that reaches the goal earns 1/20 a step, so that a target of 1/150
    # would ask for less than any success has. These targets are 1/14 and 1/20.
    rvs: {"pointmaze": {"num_steps": 20_000, "target_fraction": 7.5}},
    # `SMALL` makes this weight of Q a 10 in profiles quick and cpu. Quick's medium and large mazes,
    # seeds 10 to 12, score 64 at a weight of 5, 61 at 10 and 35 at 20.
    td3_bc: {"pointmaze": {"q_weight": 25.0}},
    # Values are small in pointmaze, so that a small pressure on them is enough.
    cql: {"pointmaze": {"conservative_weight": 0.5}},
    # `SMALL` makes this temperature a 20 in profiles quick and cpu, which is twice the one that is
    # published for antmaze.
    iql: {"pointmaze": {"expectile": 0.9, "inverse_temperature": 50.0}},
}

# A run of this many steps may follow its critics as far as published. In a shorter one the critics
# are young, and much of what they say is noise. IQL on walker2d-medium in 10,000 steps scores 12 at
# the published temperature, 43 at a third of it and 45 at a sixth. TD3+BC on
# halfcheetah-medium-expert in 12,000 steps scores 7 at the published weight of Q and 33 at a
# quarter of it.
STEPS_TO_TRUST_CRITICS = 50_000

# Rows of a window of the small Decision Transformer. On hopper-medium, 1,200 steps of 60 rows score
# 57 with windows of 5 rows and 46 with windows of 10, which is within the deviation over seeds.
CONTEXT = 5

# A small run of so many steps lets values travel the whole way of an ant.
LONG = 100_000


def trust(num_steps: int) -> float:
    """The share of the published trust in critics, in a run of ``num_steps``; 1 is as published."""
    return min(1.0, num_steps / STEPS_TO_TRUST_CRITICS)


def half(num_steps: int) -> int:
    """Half the steps; all of an odd number, so that evaluations still divide them."""
    return num_steps if num_steps % 2 else num_steps // 2


def tenth(num_steps: int) -> int:
    """A tenth of the steps; all of them where 10 does not divide them."""
    return num_steps if num_steps % 10 else num_steps // 10


def _cloning_steps(config: cql.Config, run: Run) -> int:
    """CQL's actor clones until the critics can be trusted, and for the published share at least."""
    share = max(config.cloning_steps / config.num_steps, 1.0 - trust(half(run.num_steps)))
    return round(share * half(run.num_steps))


def _sarsa_steps(config: onestep.Config, run: Run) -> int:
    """Half the steps, or all that easy BCQ, which trains no more, has left."""
    if config.improvement == "easy_bcq":
        return run.num_steps - max(1, run.num_steps // 4)
    return max(1, run.num_steps // 2)


# At sizes other than the published one: settings of every method that has a field of that name.
EVERY_METHOD: dict[str, Settings] = {
    EVERYWHERE: {
        # Fewer steps have to be longer ones.
        "learning_rate": lambda config, run: max(1e-3, config.learning_rate),
        # Narrow networks learn little from inputs of several scales in few steps.
        "normalize_observations": True,
        # Critics are steadier with it.
        "layer_norm": True,
    },
    # An ant's way takes 300 to 700 steps, and values have to come all that way in 15 % of the
    # published updates. IQL on antmaze-medium-play in 100,000 steps, seed 0, scores 0 and 5 on two
    # recipes of the data with the published discount and targets and steps of 3e-4. It scores 20
    # with these and steps of 1e-3. On antmaze-large-play it scores 40.
    "antmaze": {
        "discount": lambda config, run: 0.995 if run.num_steps >= LONG else config.discount,
        "polyak": lambda config, run: 0.02 if run.num_steps >= LONG else config.polyak,
    },
}

# CQL needs these in mazes, where values have to come a long way.
_CQL_IN_MAZES = {
    # All of the steps.
    "num_steps": lambda config, run: run.num_steps,
    "num_samples": 1,
    # A weight that is learned elsewhere stays at 1. The log-sum-exp of 3 actions is lower than that
    # of 30 by 2.3, so that the gap would be met by itself and the learned weight would go to 0.
    "target_gap": None,
    "conservative_weight": lambda config, run: (
        config.conservative_weight if config.target_gap is None else 1.0
    ),
    "layer_norm": True,
}

# At sizes other than the published one: by method and family, in place of `EVERY_METHOD`.
SMALL: dict[ModuleType, dict[str, Settings]] = {
    onestep: {
        EVERYWHERE: {
            # At the published share the improvement would get a twenty-sixth of the steps.
            "behaviour_steps": lambda config, run: max(1, run.num_steps // 4),
            "sarsa_steps": _sarsa_steps,
            # It trusts a young Q less, as IQL does.
            "inverse_temperature": lambda c, run: trust(run.num_steps) * c.inverse_temperature,
            "kl_weight": lambda config, run: config.kl_weight / trust(run.num_steps),
        },
    },
    dt: {
        EVERYWHERE: {
            # A window is several rows and a row is three tokens, so that a step costs far more than
            # another method's. The published runs have a tenth of the others' steps too.
            "num_steps": lambda config, run: tenth(run.num_steps),
            "warmup_steps": lambda config, run: max(1, tenth(run.num_steps) // 10),
            # The batch is shared out as rows.
            "batch_size": lambda config, run: max(1, run.batch_size // CONTEXT),
            # Layers are no wider than published.
            "hidden_dims": lambda config, run: tuple(
                min(width, config.hidden_dims[0]) for width in run.hidden_dims
            ),
            "context": CONTEXT,
            # Dropout only slows a short run.
            "dropout": 0.0,
            # A short run sees each timestep too seldom for its embedding to become more than the
            # noise it starts as. On hopper-medium a deviation of 1 scores 27 and 33 where this one
            # scores 57 and 46 (see `CONTEXT`).
            "timestep_std": 0.02,
        },
    },
    rvs: {
        EVERYWHERE: {
            # RvS-R in 12,000 steps of 64-64 networks scores 48 with it and 24 without on
            # hopper-medium-replay, where BC scores 15. On hopper-medium it scores 81 and 58. RvS-G
            # on antmaze-umaze scores 57 and 65 with deviations above 25, in which six seeds show no
            # difference, so that one rule serves both.
            "normalize_inputs": True,
        },
    },
    td3_bc: {
        EVERYWHERE: {
            # Young critics are wrong beside the data, where an actor that climbs them goes.
            "q_weight": lambda config, run: trust(run.num_steps) * config.q_weight,
        },
    },
    cql: {
        EVERYWHERE: {
            # Nearly all the time goes into Q of sampled actions, which makes a step several times
            # as expensive as another method's. So steps are fewer and sample fewer actions.
            "num_steps": lambda config, run: half(run.num_steps),
            "num_samples": lambda config, run: min(config.num_samples, 2),
            "actor_learning_rate": 3e-4,
            "cloning_steps": _cloning_steps,
            "layer_norm": False,
        },
        "antmaze": _CQL_IN_MAZES,
        "pointmaze": _CQL_IN_MAZES,
    },
    iql: {
        EVERYWHERE: {
            # The published temperature multiplies a young critic's noise into weights at their cap.
            "inverse_temperature": lambda c, run: trust(run.num_steps) * c.inverse_temperature,
        },
        # Profile cpu scores 27 on antmaze-umaze at the published 10 and 98 at locomotion's 3, and
        # in the medium and large mazes 52 and 57. At 10 the policy cuts corners, where the data are
        # few, and gets stuck there.
        "antmaze": {
            "inverse_temperature": lambda config, run: min(
                iql.Config.inverse_temperature, trust(run.num_steps) * config.inverse_temperature
            ),
        },
    },
}


class Resolved(NamedTuple):
    """A method's settings in one family at one size.

    Attributes:
        config: the settings.
        origins: where each of them comes from, by field.
    """

    config: core.Config
    origins: dict[str, str]


def resolve(
    algorithm: str, family: str, size: Size = PUBLISHED, task: str | None = None
) -> Resolved:
    """The settings of a column, of which later ones win over earlier ones.

    1. ``Config()`` of the method's file.
    2. Its ``CONFIGS`` for the task or else for the family; where it has none, `VALUES` and
       `UNPUBLISHED`.
    3. The changes that make the column a variant, in ``algos/registry.py``.
    4. The size.
    5. `EVERY_METHOD` and `SMALL`, where the size is not the published one.

    Args:
        algorithm: the column.
        family: the task's family.
        size: how much is learned; the published size by default.
        task: the task's name, for methods whose paper has settings of single tasks.

    Raises:
        InputError: there is no such algorithm, or the method refuses a setting.
    """
    entry = get_algorithm(algorithm)
    method, file = entry.method, entry.file
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def put(settings: Mapping[str, Any], origin: str) -> None:
        for field, value in settings.items():
            if field not in values or values[field] != value:
                values[field], origins[field] = value, origin

    put(vars(method.Config()), f"published, {file}")
    key = task if task in method.CONFIGS else family
    if key in method.CONFIGS:
        put(vars(method.CONFIGS[key]), f"published for {key}, {file}")
    else:
        of_values = VALUES if issubclass(method.Config, core.ValueConfig) else {}
        for table in (of_values, UNPUBLISHED.get(method, {})):
            put(table.get(family, {}), f"{family}, algos/settings.py")
    put(entry.changes_in(family), f"variant {algorithm}")
    published = method.Config(**values)
    sizes = {f: x for f in Run._fields if (x := getattr(size, f)) not in (None, values[f])}
    if sizes:
        put(sizes, PROFILE)
        run = Run(**{field: values[field] for field in Run._fields})
        own = _in_family(getattr(method, "SMALL", SMALL.get(method, {})), family)
        shared = _in_family(EVERY_METHOD, family)
        shared = {f: rule for f, rule in shared.items() if f in values and f not in own}
        put(_applied(shared, published, run), "small runs, algos/settings.py")
        where = file if hasattr(method, "SMALL") else "algos/settings.py"
        put(_applied(own, published, run), f"small runs, {where}")
    return Resolved(method.Config(**values), origins)


def _in_family(table: Mapping[str, Settings], family: str) -> dict[str, Any]:
    return {**table.get(EVERYWHERE, {}), **table.get(family, {})}


def _applied(settings: Settings, published: core.Config, run: Run) -> dict[str, Any]:
    return {f: rule(published, run) if callable(rule) else rule for f, rule in settings.items()}
