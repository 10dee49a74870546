import numpy as np

from ..errors import missing_extra
from ..inputs import Audio, Category, Image, Number, Text
from ..targets import ClassLabel, MultiLabel
from .schema import Schema


def from_tfds(
    name_or_builder, split="train", target=None, data_dir=None, image_size=96
):
    """Rows of a TensorFlow Datasets data set, with a schema from its features.

    `Image` features become `Image` inputs (decoded by this library), `Audio` features
    with a sampling rate become `Audio` of 5 seconds, text features `Text`, scalars
    `Number`, booleans and classes `Category`. A target of classes, texts or booleans
    becomes a `ClassLabel`, lists of them a `MultiLabel`, and a scalar a `Number`.
    Other features are left out; their names are printed.

    Examples:

    >>> rows, schema = keras_mm.data.from_tfds("oxford_flowers102")
    >>> model = keras_mm.build_classifier(schema.adapt(rows))
    >>> model.fit(rows, epochs=5)

    Args:
        name_or_builder: string, or a `tfds.core.DatasetBuilder`.
        split: string, such as `"train"` or `"train[:80%]"`.
        target: name of the feature to predict; default: the only `ClassLabel`.
        data_dir: folder of the prepared data sets.
        image_size: int or pair, height and width of images.

    Returns:
        `tf.data.Dataset` of dicts, one per row, and a `Schema` (adapted only if it
        has nothing to learn).
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise missing_extra("tensorflow_datasets", "tfds") from error
    import tensorflow as tf

    builder = name_or_builder
    if isinstance(builder, str):
        builder = tfds.builder(builder, data_dir=data_dir)
    features = builder.info.features
    if not isinstance(features, tfds.features.FeaturesDict):
        raise ValueError(
            "The set's features must be named. "
            f"Received: features={type(features).__name__}"
        )
    labels = [n for n, f in features.items() if isinstance(f, tfds.features.ClassLabel)]
    if target is None:
        if len(labels) != 1:
            raise ValueError(
                "Name the feature to predict with `target`: the data set must "
                f"have exactly one ClassLabel otherwise. Received: features={list(features)}"
            )
        target = labels[0]
    if target not in features:
        raise ValueError(
            f"There is no feature {target!r}. Received: features={list(features)}"
        )
    inputs, decoders, left_out = {}, {}, []
    for name, feature in features.items():
        if name == target:
            continue
        if isinstance(feature, tfds.features.Image):
            inputs[name] = Image(image_size)
            decoders[name] = tfds.decode.SkipDecoding()
        elif isinstance(feature, tfds.features.Audio) and feature.sample_rate:
            inputs[name] = Audio(sampling_rate=feature.sample_rate)
        elif isinstance(feature, tfds.features.ClassLabel):
            inputs[name] = Category(vocabulary=feature.names)
        elif getattr(feature, "shape", None) != () or name.endswith("filename"):
            # A file's name often holds the class.
            left_out.append(name)
        elif np.dtype(feature.np_dtype).kind in "OSU":
            inputs[name] = Text()
        elif np.dtype(feature.np_dtype).kind in "iuf":
            inputs[name] = Number()
        elif np.dtype(feature.np_dtype).kind == "b":
            inputs[name] = Category()
        else:
            left_out.append(name)
    answer = _answer(features[target], target)
    dataset = builder.as_dataset(split=split, decoders=decoders)
    # Indices become names; the -1 of a withheld label becomes "", which is missing.
    names = {
        name: tf.constant(["", *_names(features[name])])
        for name in [*inputs, target]
        if _names(features[name])
    }

    def rename(row):
        return {
            name: tf.gather(names[name], tf.maximum(row[name] + 1, 0))
            if name in names
            else row[name]
            for name in [*inputs, target]
        }

    if left_out:
        print(f"Features left out: {', '.join(left_out)}")
    return dataset.map(rename), Schema(inputs, {target: answer})


def _item(feature):
    """The feature of a list feature's items; None if it is not a list feature."""
    is_list = getattr(feature, "shape", None) == (None,)
    return getattr(feature, "feature", None) if is_list else None


def _names(feature):
    """The class names of a feature, or of a list feature's items, or None."""
    return getattr(_item(feature) or feature, "names", None)


def _answer(feature, name):
    """The target for a feature."""
    item = _item(feature)
    names = _names(feature)
    dtype = getattr(item or feature, "np_dtype", None)
    kind = np.dtype(dtype).kind if dtype is not None else None
    if item is not None and (names or kind in "OSU"):
        return MultiLabel(class_names=names)
    if getattr(feature, "shape", None) == ():
        if names or kind in "OSUb":
            return ClassLabel(class_names=names)
        if kind in "iuf":
            return Number()
    raise ValueError(
        "A target is a class, a text, a boolean, a number, or a list of classes or "
        f"texts. Received: target={name!r} of feature {feature!r}"
    )
