"""Checks of column names, and of the output names that follow from them."""

from ..names import answer_name, is_layer_name, served_name


def check_names(names, what="columns"):
    """Raises a `ValueError` if names of columns are ambiguous or invalid.

    One message lists all of them, with the call that renames them.

    Args:
        names: list of strings.
        what: string, what they are the names of, such as `"towers"`.
    """
    names = list(dict.fromkeys(names))
    wrong = [name for name in names if not _is_fine(name)]
    if wrong:
        renamed = {name: served_name(str(name)) for name in wrong}
        raise ValueError(
            "A column's name must be text without '/', which Keras does not allow in "
            "names of inputs, and not the name of a layer, such as 'image-encoder'. "
            f"Rename the column: table.rename(columns={renamed}). "
            f"Received: names={wrong}"
        )
    columns = {}
    for name in names:
        columns.setdefault(served_name(name), []).append(name)
    for served, several in columns.items():
        if len(several) > 1:
            raise ValueError(
                f"The {what} {several} would both be {served!r} in an exported "
                f"model. Rename one of them: {_renaming(what, several[1], served)}. "
                f"Received: names={names}"
            )


def _renaming(what, name, served):
    if what != "columns":
        return f"call {name!r} {served + '_2'!r}"
    return f"table.rename(columns={ {name: served + '_2'} })"


def _is_fine(name):
    return (
        isinstance(name, str)
        and bool(name.strip())
        and "/" not in name
        and not is_layer_name(name)
    )


def check_answers(schema):
    """Raises a `ValueError` if an exported model would have two outputs of one name."""
    owners = {}
    for name, value in [*schema.inputs.items(), *schema.targets.items()]:
        # Most inputs have no output of their own.
        if name in schema.inputs and not value.ok_suffix:
            continue
        named = served_name if name in schema.inputs else answer_name
        for answer in value.answers(named(name)):
            if answer.endswith("_bytes"):
                raise ValueError(
                    f"TF Serving sends an output whose name ends in '_bytes' as "
                    "binary data. Rename the target: table.rename(columns="
                    f"{ {name: name + '_value'} }). "
                    f"Received: targets={list(schema.targets)}"
                )
            if answer in owners:
                raise ValueError(
                    f"An exported model would have two outputs {answer!r}, of the "
                    f"columns {owners[answer]!r} and {name!r}. "
                    "Rename one of them: table.rename(columns="
                    f"{ {name: name + '_2'} }). Received: "
                    f"inputs={list(schema.inputs)}, targets={list(schema.targets)}"
                )
            owners[answer] = name
