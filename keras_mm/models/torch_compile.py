"""What torch's compiler has to be told."""

import functools


def for_each_size(function):
    """A compiled function with code of its own for each size of what comes in.

    When torch meets a second size, it makes code for any size, and cannot do so for
    strided convolutions (torch 2.13). Sizes in `fit` are few: the last batch is
    smaller than the others.
    """
    from torch._dynamo import config

    @functools.wraps(function)
    def call(*args):
        with config.patch(automatic_dynamic_shapes=False):
            return function(*args)

    return call
