"""Settings of torch's compiler."""

import functools


def for_each_size(function):
    """A compiled function that is specialised for each input shape.

    At a second shape torch compiles for dynamic shapes, which fails for strided
    convolutions (torch 2.13). Shapes in `fit` are few: the last batch is smaller
    than the others.
    """
    from torch._dynamo import config

    @functools.wraps(function)
    def call(*args):
        with config.patch(automatic_dynamic_shapes=False):
            return function(*args)

    return call
