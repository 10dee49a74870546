"""Functions over the elements of a `tf.data.Dataset`, in parallel."""


def map_in_parallel(dataset, function):
    """`dataset.map`, in order, for a function of TensorFlow operations only.

    AutoGraph, which takes seconds, is off: the function has no `if` or `for` that
    depends on a tensor.

    Args:
        dataset: `tf.data.Dataset`.
        function: function from an element to another.

    Returns:
        `tf.data.Dataset`.
    """
    import tensorflow as tf

    function = tf.autograph.experimental.do_not_convert(function)
    return dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE)
