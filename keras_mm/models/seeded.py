import contextlib
import functools
import inspect
import random

import keras
import numpy as np

# Keras's own random state: the seed, and the generator of unseeded numbers.
_OF_KERAS = ("global_random_seed", "global_seed_generator")


@contextlib.contextmanager
def seeded(seed):
    """Seeds all random generators within the context, and restores them after it.

    Keras draws the seeds of layers and initialisers from Python's generator, and
    shuffles arrays by the backend's.

    Args:
        seed: int, or None: nothing is changed.
    """
    if seed is None:
        yield
        return
    from keras.src.backend.common import global_state

    own = {name: global_state.get_global_attribute(name) for name in _OF_KERAS}
    python, numpy = random.getstate(), np.random.get_state()
    restore = [of_backend() for of_backend in (_tensorflow, _torch)]
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for put_back in restore:
            put_back()
        for name, value in own.items():
            global_state.set_global_attribute(name, value)


def _tensorflow():
    """Function that restores TensorFlow's random state, which `tf.data` shuffles by."""
    try:
        from tensorflow.python.eager.context import context
    except ImportError:
        return lambda: None
    state = context()
    # There is no generator before the first seed.
    kept = {n: vars(state)[n] for n in ("_seed", "_rng") if n in vars(state)}
    return lambda: vars(state).update(kept)


def _torch():
    """Function that restores torch's state on all devices, if it is the backend."""
    if keras.backend.backend() != "torch":
        return lambda: None
    import torch

    kept = contextlib.ExitStack()
    devices = range(torch.cuda.device_count())
    kept.enter_context(torch.random.fork_rng(devices))
    if torch.backends.mps.is_available():
        kept.callback(torch.mps.set_rng_state, torch.mps.get_rng_state())
    return kept.close


def seeded_builder(build):
    """Decorates a builder so that its argument `seed` seeds it, see `seeded`."""
    signature = inspect.signature(build)

    @functools.wraps(build)
    def seeded_build(*args, **kwargs):
        with seeded(signature.bind(*args, **kwargs).arguments.get("seed")):
            return build(*args, **kwargs)

    return seeded_build
