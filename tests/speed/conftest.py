"""What the speed tests share: fast code, the machine's peak, and what the report says of it."""

import functools
import time

import jax
import jax.numpy as jnp
import pytest

PEAK_WIDTH = 2048


def pytest_addoption(parser):
    parser.addoption(
        "--short", action="store_true", help="speed: few methods and rounds, in two minutes"
    )


@pytest.hookimpl(optionalhook=True)  # of pytest-benchmark, which may be switched off
def pytest_benchmark_update_machine_info(config, machine_info):
    device = jax.devices()[0]
    machine_info.pop("node", None)  # nobody else needs to know its name
    machine_info["jax"] = {
        "version": jax.__version__,
        "platform": device.platform,
        "device": device.device_kind,
    }


@pytest.fixture(autouse=True)
def optimized():
    """Undo, for these tests, what tests/conftest.py sets to compile fast instead of to run fast."""
    slow = {
        "jax_disable_most_optimizations": False,
        "jax_debug_key_reuse": False,
        "jax_numpy_rank_promotion": "allow",
    }
    before = {name: jax.config.values[name] for name in slow}
    for name, value in slow.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="session")
def short(request):
    """Whether only the short form was asked for."""
    return request.config.getoption("--short")


@functools.cache
def _product():
    """A matrix product with the compiler's own options: ours suit the harness's small products."""
    return jax.jit(jnp.matmul)


def measure_peak() -> float:
    """Operations per second in a large matrix product, at this moment."""
    left = jnp.ones((PEAK_WIDTH, PEAK_WIDTH), jnp.float32)
    # One product takes a CPU long enough; on an accelerator a queue hides the time to launch one.
    repeats = 1 if jax.default_backend() == "cpu" else 50
    start = time.perf_counter()
    for _ in range(repeats):
        result = _product()(left, left)
    result.block_until_ready()
    return repeats * 2 * PEAK_WIDTH**3 / (time.perf_counter() - start)


@pytest.fixture(scope="session")
def peak():
    """Measures the peak anew at each call."""
    return measure_peak
