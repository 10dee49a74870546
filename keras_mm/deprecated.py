import functools

from .errors import warn


def renamed(**names):
    """Lets a function take keyword arguments by their old names, with a warning.

    The old name is no part of the signature. It works for one version, as long as
    the decorator is there.

    Examples:

    >>> from keras_mm.deprecated import renamed
    >>> @renamed(colour="color")
    ... def paint(color):
    ...     return color
    >>> paint(color="red")
    'red'

    Args:
        **names: the new name of each argument, by its old one.

    Returns:
        Decorator of functions and methods; of a class, decorate `__init__`.
    """

    def decorate(function):
        public = function.__qualname__
        for method in (".__init__", ".__call__"):
            public = public.removesuffix(method)

        @functools.wraps(function)
        def with_old_names(*args, **kwargs):
            for old in names.keys() & kwargs:
                new = names[old]
                if new in kwargs:
                    raise ValueError(
                        f"`{old}` is the old name of `{new}`: pass `{new}` alone to "
                        f"`{public}`. Received: {old}={kwargs[old]!r}, "
                        f"{new}={kwargs[new]!r}"
                    )
                warn(
                    f"`{old}` of `{public}` is now called `{new}`; the old name will "
                    "not work in the next version.",
                    FutureWarning,
                )
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return with_old_names

    return decorate
