"""Fixtures and settings of all tests."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

import keras_mm  # noqa: E402

from .helpers import make_table  # noqa: E402

pytest_plugins = ["tests.timing"]

# Tracing makes objects by the million, and hardly any rubbish: looking for it so
# often takes more time than it saves memory.
gc.freeze()
gc.set_threshold(100_000, 10, 10)

settings.register_profile(
    "quick",
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("quick")


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


@pytest.fixture
def eagerly():
    """Steps are run as they are: tracing them takes longer than a few of them."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def compiled():
    """On torch, a compiler that gives up fails instead of running plainly."""
    if keras.backend.backend() != "torch":
        yield
        return
    import torch._dynamo as dynamo

    dynamo.reset()
    dynamo.utils.counters.clear()
    # A function may meet as many shapes as there are layers.
    limits = {"recompile_limit": 1000, "accumulated_recompile_limit": 1000}
    with dynamo.config.patch(fail_on_recompile_limit_hit=True, **limits):
        yield
    assert dynamo.utils.counters["stats"]["unique_graphs"] > 0


@pytest.fixture
def table():
    """24 rows, three of them with missing cells."""
    return make_table()


@pytest.fixture(scope="session")
def clipart():
    """45 rows of the bundled real data set, nine classes."""
    table = keras_mm.data.clipart()
    parts = [rows.head(5) for _, rows in table.groupby("category")]
    return pd.concat(parts).reset_index(drop=True)
