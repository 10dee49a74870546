"""Several encoders for one column, each a modality of its own."""

from ..names import served_name
from .encoder import Encoder


def split_modalities(modalities, encoders, named):
    """Gives each of a column's encoders a modality of its own.

    Two encoders of `text` become the modalities `text-ngrams` and `text-hub`, of the
    same columns.

    Args:
        modalities: dict from modality to its columns.
        encoders: dict from modality to an encoder, or to a list of encoders.
        named: dict from encoder class to its name.

    Returns:
        dict from modality to its columns, dict from modality to one encoder.
    """
    split, chosen = {}, {}
    taken = {served_name(name) for name in modalities}
    taken |= {served_name(name) for names in modalities.values() for name in names}
    for name, columns in modalities.items():
        several = encoders.get(name)
        if not isinstance(several, (list, tuple)):
            split[name], chosen[name] = columns, several
            continue
        if not several or (len(several) > 1 and columns != [name]):
            raise ValueError(
                "Several encoders are for one column: encoders={'text': ['ngrams', "
                f"'lstm']}}. Received: encoders[{name!r}]={several!r} for the columns "
                f"{columns}"
            )
        for encoder in several:
            own = f"{name}-{_label(encoder, named)}" if len(several) > 1 else name
            unique, count = own, 1
            while len(several) > 1 and served_name(unique) in taken:
                count += 1
                unique = f"{own}-{count}"
            taken.add(served_name(unique))
            split[unique], chosen[unique] = columns, encoder
    return split, chosen


def by_column(modalities):
    """Modalities where those that read the same column are one, of its name.

    Args:
        modalities: dict from modality to its columns.

    Returns:
        dict from a column, or the name of a modality of several, to its modalities.
    """
    groups = {}
    for name, columns in modalities.items():
        groups.setdefault(tuple(columns), []).append(name)
    return {
        columns[0] if len(names) > 1 else names[0]: names
        for columns, names in groups.items()
    }


def _label(encoder, named):
    if encoder is None:
        return "default"
    if isinstance(encoder, str):
        return encoder.partition(":")[0]
    if isinstance(encoder, Encoder):
        return named.get(type(encoder), type(encoder).__name__.lower())
    return "custom"
