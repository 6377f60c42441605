import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algos import core, dt, networks, normalize, sampling, views
from algos.settings import Size, resolve
from envs import toy as toys
from envs.dataset import Dataset
from envs.environment import EnvSpec
from envs.errors import InputError
from envs.spaces import Box
from envs.toy import BAD_ACTION, GOOD_ACTION, START
from tests.helpers.descent import assert_descends

WIDTH, K, NUM_TIMESTEPS = 8, 4, 12
SPEC = EnvSpec(
    observation=Box((3,)),
    action=Box((2,), limit=1.0),
    max_episode_steps=NUM_TIMESTEPS,
    target_return=30.0,
)
CONFIG = dt.Config(
    num_steps=6,
    batch_size=3,
    learning_rate=0.01,
    hidden_dims=(WIDTH, WIDTH),
    context=K,
    dropout=0.0,
    weight_decay=0.5,
    max_gradient_norm=1e9,
    warmup_steps=4,
    return_scale=10.0,
)
NET = networks.causal_transformer(
    (WIDTH, WIDTH), Box((3,)), Box((2,)), num_timesteps=NUM_TIMESTEPS, dropout=0.5, timestep_std=1.0
)
APPLY = jax.jit(NET.apply, static_argnames="last_only")


def number(value):
    return jnp.asarray(value, jnp.int32)


@pytest.fixture(scope="module")
def params():
    """Parameters that are so far from a start that every part of the network matters."""
    generator = np.random.default_rng(1)

    def draw(path, leaf):
        noise = 0.5 * generator.standard_normal(leaf.shape)
        return jnp.asarray(noise + (path[-1].key == "scale"), jnp.float32)

    shapes = jax.eval_shape(NET.init, jax.random.key(0))
    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.fixture(scope="module")
def state(toy, params):
    """A state of ``CONFIG`` that scales observations by the toy's."""
    return normalize.State(
        method=core.Trainable.create(params, dt.optimizer(CONFIG)),
        normalizer=normalize.Normalizer.create(views.statistics(toy[0])),
    )


def history(num_steps=K, first_step=0, seed=0):
    """Inputs of the network for ``num_steps`` steps of an episode, none of them padding."""
    generator = np.random.default_rng(seed)
    normal = lambda *shape: jnp.asarray(generator.standard_normal(shape), jnp.float32)
    return SimpleNamespace(
        returns_to_go=normal(num_steps),
        observations=normal(num_steps, 3),
        actions=normal(num_steps, 2),
        timesteps=first_step + jnp.arange(num_steps),
        mask=jnp.ones(num_steps, bool),
    )


def predict(params, inputs, **options):
    return np.asarray(APPLY(params, *vars(inputs).values(), **options).mode())


def changed(inputs, name, position, by=1):
    array = getattr(inputs, name)
    return SimpleNamespace(**vars(inputs) | {name: array.at[position].add(by)})


# The network


def layer_norm(x, p):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * p["scale"] + p["bias"]


def dense(x, p):
    return x @ p["kernel"] + p["bias"]


def written_out(params, inputs):
    """The network on unpadded inputs, token by token, in numpy."""
    p = jax.tree.map(np.asarray, params["params"])
    tokens = []
    for t, step in enumerate(np.asarray(inputs.timesteps)):
        time = p["Embed_0"]["embedding"][step]
        tokens += [
            dense(np.asarray(x).reshape(-1), p[f"Dense_{i}"]) + time
            for i, x in enumerate(
                (inputs.returns_to_go[t], inputs.observations[t], inputs.actions[t])
            )
        ]
    x = layer_norm(np.stack(tokens), p["LayerNorm_0"])
    for layer in range(2):
        block = p[f"_TransformerBlock_{layer}"]
        normed = layer_norm(x, block["LayerNorm_0"])
        queries, keys, values = np.split(dense(normed, block["Dense_0"]), 3, axis=1)
        seen = np.zeros_like(x)
        for i, query in enumerate(queries):
            weights = np.exp(keys[: i + 1] @ query / np.sqrt(WIDTH))
            seen[i] = weights @ values[: i + 1] / weights.sum()
        x = x + dense(seen, block["Dense_1"])
        hidden = np.maximum(dense(layer_norm(x, block["LayerNorm_1"]), block["Dense_2"]), 0.0)
        assert hidden.shape[1] == 4 * WIDTH
        x = x + dense(hidden, block["Dense_3"])
    return np.tanh(dense(layer_norm(x[1::3], p["LayerNorm_1"]), p["Dense_3"]))


def test_the_network_is_a_pre_norm_transformer_over_returns_states_and_actions(params):
    inputs = history(first_step=3)
    expected = written_out(params, inputs)
    assert np.ptp(expected, axis=0).min() > 0.1
    np.testing.assert_allclose(predict(params, inputs), expected, rtol=1e-4, atol=1e-5)


def test_the_newest_action_alone_is_the_last_of_all(params):
    inputs = history()
    last = predict(params, inputs, last_only=True)
    assert last.shape == (1, 2)
    np.testing.assert_allclose(last, predict(params, inputs)[-1:], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "first"), [("returns_to_go", 1), ("observations", 1), ("timesteps", 1), ("actions", 2)]
)
def test_a_token_changes_no_earlier_action_and_every_later_one(params, name, first):
    inputs = history()
    before = predict(params, inputs)
    after = predict(params, changed(inputs, name, 1, by=3))
    # An action is known only after its own step.
    np.testing.assert_array_equal(before[:first], after[:first])
    assert (np.abs(before - after)[first:].max(axis=1) > 1e-3).all()


@pytest.mark.parametrize("name", ["returns_to_go", "observations", "actions", "timesteps"])
def test_padding_has_no_influence(params, name):
    inputs = history()
    inputs.mask = jnp.array([False, False, True, True])
    before = predict(params, inputs)
    after = predict(params, changed(inputs, name, slice(0, 2), by=5))
    np.testing.assert_array_equal(before[2:], after[2:])
    unpadded = SimpleNamespace(**{key: array[2:] for key, array in vars(inputs).items()})
    np.testing.assert_allclose(before[2:], predict(params, unpadded), rtol=1e-4, atol=1e-5)
    # The same rows would matter if they were no padding.
    inputs.mask = jnp.ones(K, bool)
    assert np.abs(predict(params, inputs) - before)[2:].max() > 1e-3


def test_steps_past_the_time_limit_share_the_last_embedding(params):
    last, later, before = (
        predict(params, history(num_steps=1, first_step=step))
        for step in (NUM_TIMESTEPS - 1, NUM_TIMESTEPS + 5, NUM_TIMESTEPS - 2)
    )
    np.testing.assert_array_equal(last, later)
    assert np.abs(last - before).max() > 1e-3


def test_a_key_turns_dropout_on(params):
    inputs = history()
    one, same, other = (predict(params, inputs, key=jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3
    assert np.abs(one - predict(params, inputs)).max() > 1e-3


def test_first_parameters_are_pytorchs_and_gpt_2s():
    net = networks.causal_transformer(
        (64, 64), Box((16,)), Box((2,)), num_timesteps=50, dropout=0.0, timestep_std=1.0
    )
    p = jax.jit(net.init)(jax.random.key(0))["params"]
    assert np.std(p["Embed_0"]["embedding"]) == pytest.approx(1.0, rel=0.1)
    # The embedding of observations: uniform within 16^-1/2.
    assert 0.23 < np.abs(p["Dense_1"]["kernel"]).max() <= 0.25
    denses = [leaves for name, leaves in p["_TransformerBlock_0"].items() if "Dense" in name]
    assert len(denses) == 4
    for leaves in denses:
        assert np.std(leaves["kernel"]) == pytest.approx(0.02, rel=0.1)
    for leaves in (p["Dense_1"], *denses):
        assert (leaves["bias"] == 0.0).all()


# The view and its windows


def make_dataset(rewards, terminations, episode_ends):
    """Row i has observation i and action i / 100."""
    rows = np.arange(len(rewards))[:, None].astype(np.float32)
    terminations = np.isin(rows[:, 0], terminations)
    return Dataset(
        observations=rows,
        actions=rows / 100,
        rewards=np.asarray(rewards, np.float32),
        terminations=terminations,
        truncations=np.isin(rows[:, 0], episode_ends) & ~terminations,
        episode_ends=np.asarray(episode_ends),
        final_observations=rows[np.asarray(episode_ends)] + 1,
    )


def test_returns_to_go_are_sums_to_the_end_of_the_episode():
    dataset = make_dataset([1.0, 2.0, 3.0, -4.0, 0.5], terminations=[2], episode_ends=[2, 4])
    view = views.sequences(dataset)
    assert view.returns_to_go.tolist() == [6.0, 5.0, 3.0, -3.5, 0.5]
    assert view.timesteps.tolist() == [0, 1, 2, 0, 1]
    assert view.segment_ends.tolist() == [2, 2, 2, 4, 4]


def test_a_termination_inside_an_episode_ends_a_segment():
    # An antmaze episode of 6 rows that is at the goal in rows 2 and 3, and a second that fails.
    rewards = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    dataset = make_dataset(rewards, terminations=[2, 3], episode_ends=[5, 7])
    view = views.sequences(dataset)
    assert view.returns_to_go.tolist() == [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert view.timesteps.tolist() == [0, 1, 2, 0, 0, 1, 0, 1]
    assert view.segment_ends.tolist() == [2, 2, 2, 3, 5, 5, 7, 7]
    assert dataset.terminations.tolist() == [False, False, True, True] + 4 * [False]


def test_returns_to_go_of_a_long_dataset_are_exact():
    rewards = np.full(200_000, 0.1, np.float32)
    view = views.sequences(make_dataset(rewards, terminations=[], episode_ends=[99_999, 199_999]))
    assert view.returns_to_go[[99_999, 199_999]].tolist() == pytest.approx([0.1, 0.1])
    assert view.returns_to_go[100_000] == pytest.approx(1e4)


def test_views_are_float32_or_int32_with_rows_first(toy):
    view = views.sequences(toy[0])
    assert [array.dtype for array in view] == ["f4", "f4", "f4", "i4", "i4"]
    assert {len(array) for array in view} == {toy[0].num_rows}


def test_windows_hold_consecutive_rows_and_never_leave_their_segment():
    dataset = make_dataset([1.0] * 10, terminations=[1, 2, 6], episode_ends=[6, 9])
    view = jax.tree.map(jnp.asarray, views.sequences(dataset))
    batch = jax.jit(sampling.windows(3000, num_rows=3))(jax.random.key(0), view)
    batch = jax.tree.map(np.asarray, batch)
    assert batch.observations.shape == (3000, 3, 1)
    starts = batch.observations[:, 0, 0].astype(int)
    # 300 of each row are expected, with a deviation of 16.
    assert (np.abs(np.bincount(starts, minlength=10) - 300) < 80).all()
    length = np.array([2, 1, 1, 4, 3, 2, 1, 3, 2, 1])
    inside = np.arange(3)[None] < length[starts][:, None]
    np.testing.assert_array_equal(batch.mask, inside)
    ends = starts + length[starts] - 1
    rows = np.minimum(starts[:, None] + np.arange(3)[None], ends[:, None])
    np.testing.assert_array_equal(batch.observations[..., 0], rows)
    np.testing.assert_array_equal(batch.actions, dataset.actions[rows])
    np.testing.assert_array_equal(batch.returns_to_go, length[rows])
    np.testing.assert_array_equal(batch.timesteps, np.asarray(view.timesteps)[rows])


# The update


@pytest.fixture(scope="module")
def batch():
    """Three windows with 4, 2 and 1 rows and noise in the padding."""
    stacked = [history(first_step=step, seed=step) for step in (0, 5, 2)]
    rows = {name: jnp.stack([getattr(h, name) for h in stacked]) for name in vars(stacked[0])}
    rows["mask"] = jnp.arange(K)[None] < jnp.array([4, 2, 1])[:, None]
    return sampling.Windows(**rows)


@pytest.fixture(scope="module")
def update():
    return jax.jit(dt.make(CONFIG, SPEC).phases[0].update)


@pytest.fixture(scope="module")
def updated(update, state, batch):
    return update(state, batch, jax.random.key(1), number(0))


def normalized(toy, observations):
    mean, std = toy[0].observations.mean(0), toy[0].observations.std(0)
    return jnp.asarray((np.asarray(observations) - mean) / (std + 1e-3), jnp.float32)


def test_the_loss_is_the_mean_squared_error_of_the_actions_of_real_rows(updated, state, batch, toy):
    errors = []
    for i, length in enumerate((4, 2, 1)):
        inputs = SimpleNamespace(
            returns_to_go=batch.returns_to_go[i, :length] / 10.0,
            observations=normalized(toy, batch.observations[i, :length]),
            actions=batch.actions[i, :length],
            timesteps=batch.timesteps[i, :length],
            mask=jnp.ones(length, bool),
        )
        predicted = written_out(state.method.params, inputs)
        errors += (predicted - np.asarray(inputs.actions)).ravel().tolist()
    assert len(errors) == 14
    assert updated[1]["actor_loss"] == pytest.approx(np.mean(np.square(errors)), rel=1e-3)


@pytest.mark.parametrize("name", ["returns_to_go", "observations", "actions", "timesteps"])
def test_what_stands_in_the_padding_does_not_matter(update, updated, state, batch, name):
    array = getattr(batch, name)
    padding = ~batch.mask.reshape(batch.mask.shape + (1,) * (array.ndim - 2))
    other = batch._replace(**{name: array + 3 * padding})
    same, _ = update(state, other, jax.random.key(1), number(0))
    for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(updated[0]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_update_is_one_of_the_optimizers_steps_down_the_loss(updated, state, batch, toy):
    inputs = (batch.returns_to_go / 10.0, normalized(toy, batch.observations), batch.actions)
    weights = batch.mask[..., None] / 14.0

    def loss(params):
        predicted = NET.apply(params, *inputs, batch.timesteps, batch.mask).mode()
        return jnp.sum(weights * (predicted - batch.actions) ** 2)

    assert_descends(loss, state.method, updated[0].method, dt.optimizer(CONFIG))


def walk(config, params, gradients):
    """The parameters after each of ``gradients``."""
    tx = dt.optimizer(config)
    opt_state = tx.init(params)
    places = []
    for gradient in gradients:
        updates, opt_state = tx.update(gradient, opt_state, params)
        params = optax.apply_updates(params, updates)
        places.append(params)
    return np.asarray(places)


def test_the_learning_rate_warms_up_and_decays_weights_along_with_it():
    start, gradient = jnp.array([1.0, -1.0]), jnp.array([0.2, 0.3])
    expected = start
    # Adam's steps under a constant gradient are of its sign; the decay of CONFIG is 0.5.
    for place, rate in zip(
        walk(CONFIG, start, [gradient] * 6), [0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01], strict=True
    ):
        expected = expected - rate * (1.0 + 0.5 * expected)
        np.testing.assert_allclose(place, expected, rtol=1e-5)


def test_gradients_are_clipped_by_their_norm_over_all_parameters():
    config = dataclasses.replace(CONFIG, max_gradient_norm=0.5, weight_decay=0.0, warmup_steps=1)
    start = jnp.zeros(2)
    # The first has norm 5 and is scaled to 0.5; the second, of norm 0.5, is left as it is.
    long, short = jnp.array([3.0, 4.0]), jnp.array([0.3, 0.4])
    clipped, plain = walk(config, start, [long, -short]), walk(config, start, [short, -short])
    np.testing.assert_allclose(clipped, plain, rtol=1e-5)
    assert np.abs(clipped[1] - clipped[0]).max() < 0.2 * 0.01  # the second undoes the first


@pytest.mark.parametrize(("step", "rate"), [(0, 1e-8), (1, 2e-8), (9, 1e-7)])
def test_the_published_learning_rate_rises_by_a_ten_thousandth_a_step(step, rate):
    config = dataclasses.replace(dt.Config(), weight_decay=0.0)
    places = walk(config, jnp.zeros(2), [jnp.array([0.1, -0.1])] * (step + 1))
    before = places[step - 1] if step else np.zeros(2)
    np.testing.assert_allclose(places[step] - before, [-rate, rate], rtol=1e-3)


def test_the_published_learning_rate_is_reached_and_kept():
    tx = dt.optimizer(dataclasses.replace(dt.Config(), weight_decay=0.0))
    gradient, params = jnp.array([0.1, -0.1]), jnp.zeros(2)
    opt_state = tx.init(params)
    for steps, rate in ((4_999, 5e-5), (5_000, 1e-4), (2_000, 1e-4)):
        body = lambda state, _: (tx.update(gradient, state, params)[1], None)
        opt_state, _ = jax.lax.scan(body, opt_state, length=steps)
        updates, _ = tx.update(gradient, opt_state, params)
        np.testing.assert_allclose(updates, [-rate, rate], rtol=2e-2)


def test_dropout_is_drawn_from_the_updates_key(updated, state, batch):
    update = dt.make(dataclasses.replace(CONFIG, dropout=0.5), SPEC).phases[0].update
    # Without the new state there are no gradients to compile.
    loss = jax.jit(lambda key: update(state, batch, key, number(0))[1]["actor_loss"])
    one, same, other = (float(loss(jax.random.key(seed))) for seed in (0, 0, 1))
    assert one == same
    assert len({one, other, float(updated[1]["actor_loss"])}) == 3


# Acting


@pytest.fixture(scope="module")
def act():
    return jax.jit(dt.make(CONFIG, SPEC).act)


def fresh_memory(config=CONFIG, spec=SPEC):
    return dt.make(config, spec).reset(jax.random.key(0), jnp.zeros(0))


def test_acting_step_by_step_equals_a_forward_pass_over_the_same_window(act, state, toy):
    carry = fresh_memory()
    generator = np.random.default_rng(3)
    observations = generator.standard_normal((NUM_TIMESTEPS, 3)).astype(np.float32)
    rewards = 5.0 * generator.standard_normal(NUM_TIMESTEPS).astype(np.float32)
    rewards[0] = 0.0  # nothing was received before the first step
    actions = []
    for step in range(NUM_TIMESTEPS):
        action, carry = act(
            state, carry, jnp.asarray(observations[step]), jnp.asarray(rewards[step])
        )
        actions.append(np.asarray(action))
        window = slice(max(0, step - K + 1), step + 1)
        inputs = SimpleNamespace(
            returns_to_go=jnp.asarray((30.0 - np.cumsum(rewards)[window]) / 10.0),
            observations=normalized(toy, observations[window]),
            # Its own last action is not known to it: any will do.
            actions=jnp.asarray(np.stack([*actions[:-1], [9.0, 9.0]])[window], jnp.float32),
            timesteps=jnp.arange(step + 1)[window],
            mask=None,
        )
        expected = written_out(state.method.params, inputs)[-1]
        np.testing.assert_allclose(action, expected, rtol=1e-3, atol=1e-4)
    assert np.ptp(actions, axis=0).min() > 0.1
    assert act._cache_size() == 1


def test_the_return_asked_for_falls_by_what_was_received(act, state):
    carry = fresh_memory()
    asked = []
    for reward in (0.0, 2.0, -5.0, 10.0):
        _, carry = act(state, carry, jnp.zeros(3), jnp.asarray(reward))
        asked.append(float(carry.returns_to_go[-1]))
    assert asked == pytest.approx([3.0, 2.8, 3.3, 2.3])
    np.testing.assert_allclose(carry.returns_to_go, asked, rtol=1e-5)


def test_an_episode_does_not_depend_on_what_lies_in_fresh_memory(act, state):
    carry = fresh_memory()
    rubbish = carry.replace(
        returns_to_go=carry.returns_to_go.at[:-1].set(7.0),
        observations=carry.observations + 7.0,
        actions=carry.actions + 7.0,
    )
    for _ in range(2):
        observation, reward = jnp.array([0.3, -1.0, 2.0]), jnp.asarray(0.0)
        action, carry = act(state, carry, observation, reward)
        same, rubbish = act(state, rubbish, observation, reward)
        np.testing.assert_array_equal(action, same)


def test_dropout_is_off_while_acting(act, state):
    dropping = jax.jit(dt.make(dataclasses.replace(CONFIG, dropout=0.5), SPEC).act)
    arguments = (state, fresh_memory(), jnp.ones(3), jnp.asarray(0.0))
    np.testing.assert_array_equal(act(*arguments)[0], dropping(*arguments)[0])


# What it learns, and its settings


def test_the_return_it_is_told_decides_between_a_good_and_a_bad_action(train):
    dataset, spec = toys.mixed_quality()
    config = dt.Config(
        num_steps=200,
        batch_size=16,
        learning_rate=1e-2,
        hidden_dims=(16,),
        context=2,
        dropout=0.0,
        warmup_steps=20,
        return_scale=1.0,
    )
    algorithm = dt.make(config, spec)
    state = train(algorithm, dataset)
    act = jax.jit(algorithm.act)
    for target, expected in ((1.0, GOOD_ACTION), (0.0, BAD_ACTION)):
        carry = fresh_memory(config, dataclasses.replace(spec, target_return=target))
        action, _ = act(state, carry, jnp.asarray(START), jnp.asarray(0.0))
        assert float(action[0]) == pytest.approx(expected, abs=0.1)


def test_published_settings_are_the_authors():
    locomotion, antmaze = (resolve("dt", f).config for f in ("locomotion", "antmaze"))
    assert dataclasses.replace(antmaze, return_scale=1000.0) == locomotion
    assert antmaze.return_scale == 1.0
    assert (locomotion.context, locomotion.hidden_dims) == (20, (128, 128, 128))
    assert (locomotion.num_steps, locomotion.batch_size) == (100_000, 64)
    assert (locomotion.learning_rate, locomotion.weight_decay) == (1e-4, 1e-4)
    assert (locomotion.dropout, locomotion.max_gradient_norm) == (0.1, 0.25)
    assert locomotion.warmup_steps == 10_000


def test_smaller_runs_take_a_tenth_of_the_steps_and_share_the_batch_out_as_rows():
    small = resolve("dt", "locomotion", Size(12_000, 64, (64, 64))).config
    assert (small.num_steps, small.warmup_steps) == (1_200, 120)
    assert (small.context, small.batch_size) == (5, 12)
    assert (small.hidden_dims, small.dropout) == ((64, 64), 0.0)
    assert resolve("dt", "locomotion", Size(7, 4, (8,))).config.num_steps == 7


def test_smaller_runs_are_no_wider_than_published():
    small = resolve("dt", "locomotion", Size(100, 64, (256, 256))).config
    assert small.hidden_dims == (128, 128)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("hidden_dims", (8, 16), "equal widths"),
        ("context", 0, "at least 1"),
        ("dropout", 1.0, "at least 0 and below 1"),
        ("timestep_std", -1.0, "at least 0"),
        ("weight_decay", -1.0, "at least 0"),
        ("max_gradient_norm", 0.0, "above 0"),
        ("warmup_steps", 0, "at least 1"),
        ("return_scale", 0.0, "above 0"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field, value, rule):
    with pytest.raises(InputError) as caught:
        dt.Config(**{field: value})
    assert str(caught.value).startswith(f"{field} must be {rule}")
