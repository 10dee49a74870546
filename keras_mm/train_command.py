"""The `keras-mm train` command: read, split, infer, train, score, save."""

import contextlib
import functools
import os
import typing

from .errors import RowsError

# Types of columns on the command line.
TYPES = {
    "classes": "ClassLabel",
    "classification": "ClassLabel",
    "labels": "MultiLabel",
    "numbers": "Number",
    "regression": "Number",
    "category": "Category",
    "text": "Text",
    "date": "Date",
    "image": "Image",
    "audio": "Audio",
    "video": "Video",
}


class Part(typing.NamedTuple):
    """A file's rows, or some of them.

    Args:
        table: DataFrame.
        path: string, the file.
        base_dir: folder that relative paths in the table start from.
        rows: int array, the number in the file of each row, or None for all.
    """

    table: typing.Any
    path: str
    base_dir: str
    rows: typing.Any = None

    @contextlib.contextmanager
    def named(self):
        """Adds the file's name and row numbers to errors about rows."""
        try:
            yield
        except RowsError as error:
            if self.rows is not None:
                error = error.renumbered(self.rows)
            raise ValueError(f"{os.path.basename(self.path)}: {error}") from error

    def take(self, rows):
        """Some of the rows."""
        table = self.table.iloc[rows].reset_index(drop=True)
        return self._replace(table=table, rows=rows)


def part_of(path, options):
    """All rows of a file; paths are relative to its folder, unless `--base-dir`."""
    import keras_mm

    base_dir = options.base_dir or os.path.dirname(os.path.abspath(path))
    return Part(keras_mm.data.to_table(path, options.missing), path, base_dir)


def names_in(texts, columns):
    """Column names on the command line: each text is one, or several with commas."""
    names = []
    for text in texts:
        parts = [text] if text in columns else text.split(",")
        names += [part if part in columns else part.strip() for part in parts]
    return [name for name in names if name]


def train_model(options):
    """Runs the command."""
    import keras_mm

    if options.image_size is None:
        # Backbones see little of small pictures.
        options.image_size = 96 if options.pretrained is None else 224
    whole = part_of(options.table, options)
    types = _types(whole.table, options)
    train, validation, test = _parts(whole, types, options)
    aside = [name for name in (options.split_by, options.groups) if name]
    with train.named():
        schema = keras_mm.infer_schema(
            train.table,
            target=options.target,
            inputs=options.inputs and names_in(options.inputs, train.table),
            exclude=[*names_in(options.exclude, train.table), *aside],
            types=types,
            base_dir=train.base_dir,
            image_size=options.image_size,
            missing=options.missing,
        )
    _print_classes_notes(whole.table, schema, options)
    chosen = {"fusion": options.fusion, "seed": options.seed}
    if options.pretrained is not None:
        folder = [options.pretrained] if options.pretrained else []
        chosen["encoders"] = ":".join(["pretrained", *folder])
    if options.modality_dropout is not None:
        chosen["modality_dropout"] = options.modality_dropout
    if options.ensemble:
        with train.named():
            model = _ensemble(schema, train, chosen, options)
    else:
        model = _one_model(schema, train, validation, chosen, options)
    for target, weights in keras_mm.evaluation.expert_weights(model).items():
        print_weights(target, weights)
    for name, part in (("validation", validation), ("test", test)):
        if part is not None:
            with part.named():
                scores = keras_mm.evaluation.score(
                    model,
                    part.table,
                    base_dir=part.base_dir,
                    on_unreadable=options.on_unreadable,
                )
            print_scores(name, scores)
    folder = os.path.dirname(options.output)
    if folder:
        os.makedirs(folder, exist_ok=True)
    model.save(options.output)
    print(f"Saved to {options.output}")


def _ensemble(schema, rows, chosen, options):
    """The ensemble of models of all folds of the rows."""
    import keras_mm

    seed = chosen.pop("seed")
    model = keras_mm.fit_ensemble(
        schema,
        rows.table,
        [{name: value for name, value in chosen.items() if value is not None}],
        folds=options.folds or 5,
        groups=options.groups,
        time_limit=options.time_limit,
        epochs=options.epochs,
        batch_size=options.batch_size,
        class_weight=options.class_weight,
        base_dir=rows.base_dir,
        on_unreadable=options.on_unreadable,
        folder=_token_folder(options) if options.pretrained is not None else None,
        seed=seed,
    )
    print(model.report)
    return model


def _one_model(schema, train, validation, chosen, options):
    """A model of the training rows, which stops by the validation rows."""
    import keras_mm

    model = keras_mm.build_model(schema, **chosen)
    settings = keras_mm.training.training_settings(schema.rows)
    print(f"Model with {model.count_params():,} parameters")

    def rows_of(part):
        """The dataset of a part, with paths relative to its folder."""
        with part.named():
            return keras_mm.data.to_dataset(
                part.table,
                model.schema,
                options.batch_size or settings.batch_size,
                base_dir=part.base_dir,
                on_unreadable=options.on_unreadable,
            )

    is_elsewhere = validation.base_dir != train.base_dir
    fit = model.fit
    if options.pretrained is not None and not is_elsewhere:
        fit = _cached(model, options) or fit
    try:
        fit(
            train.table,
            validation_data=rows_of(validation) if is_elsewhere else validation.table,
            epochs=options.epochs or settings.epochs,
            batch_size=options.batch_size,
            class_weight=options.class_weight,
            verbose=0,
            callbacks=keras_mm.training.callbacks("training"),
            base_dir=train.base_dir,
            on_unreadable=options.on_unreadable,
        )
    except RowsError:
        # Reads each part separately to find the one with the error.
        for part in (train, validation):
            rows_of(part)
        raise
    return model


def _cached(model, options):
    """`fit_cached` of the model; None if it cannot be trained so."""
    import keras_mm

    if any(late.out_of_fold for late in model.late_fusions().values()):
        return None
    folder = _token_folder(options)
    return functools.partial(keras_mm.training.fit_cached, model, folder=folder)


def _token_folder(options):
    """The folder that keeps what frozen encoders give."""
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    folder = options.cache or os.path.join(home, "keras_mm", "tokens")
    folder = os.path.expanduser(folder)
    print(f"What frozen encoders give is kept in {folder}, which may be deleted.")
    return folder


def print_weights(target, weights):
    """Prints how much each modality's own prediction counts."""
    values = "  ".join(f"{name} {weight:.2f}" for name, weight in weights.items())
    print(f"weights of the predictions of {target}: {values}")
    unused = [name for name, weight in weights.items() if weight == 0]
    if unused:
        print(f"  no weight, as they add nothing on the validation rows: {unused}")


def print_scores(name, scores):
    """Prints one line of scores per target."""
    if any(isinstance(value, dict) for value in scores.values()):
        for target, values in scores.items():
            print_scores(f"{name} {target}", values)
        return
    values = "  ".join(f"{key} {value:.4f}" for key, value in scores.items())
    print(f"{name}: {values or 'no row has a label'}")


def _types(table, options):
    """The types given on the command line, and the targets' types."""
    import keras_mm
    from keras_mm.data.columns import require_columns
    from keras_mm.data.infer_target import target_for
    from keras_mm.targets import as_target

    types = {}
    for column, kind in options.types:
        for name in [column] if column else options.target:
            kind_of = getattr(keras_mm, TYPES[kind])
            types[name] = kind_of(options.image_size) if kind == "image" else kind_of()
    # Inferred from all rows: parts may have fewer classes.
    require_columns(table.columns, options.target)
    for name in options.target:
        types[name] = as_target(types.get(name) or target_for(table[name], name))
    return types


def _print_classes_notes(table, schema, options):
    from keras_mm.data.infer_target import classes_note

    given = {name for column, _ in options.types for name in [column] or options.target}
    for name, target in schema.targets.items():
        note = classes_note(target, table[name], name)
        if note and name not in given and "" not in given:
            print(f"  {name}: {note}")


def _parts(whole, types, options):
    """Training, validation and test rows; the last may be None.

    An ensemble has no validation rows.
    """
    import numpy as np

    from keras_mm.data.split import split_rows

    if options.ensemble and options.validation:
        raise ValueError(
            "An ensemble is validated on folds of its own rows. Leave out --validation, "
            f"or --ensemble. Received: validation={options.validation!r}"
        )
    if not options.ensemble and (options.folds or options.time_limit):
        raise ValueError(
            "--folds and --time-limit go with --ensemble. "
            f"Received: folds={options.folds}, time_limit={options.time_limit}"
        )
    test = part_of(options.test, options) if options.test else None
    if options.validation:
        return whole, part_of(options.validation, options), test
    if not options.split_by and options.ensemble:
        return whole, None, test
    if not options.split_by:
        return *_split(whole, types, options), test
    rows = split_rows(whole.table, options.split_by, ())
    if len(rows) < 2:
        raise ValueError(
            f"Column {options.split_by!r} must name two parts or more. "
            f"Received: split_by={options.split_by!r}"
        )
    if options.ensemble:
        # The last part is for testing, whatever its name.
        kept = rows[:2] if test else rows[:-1]
        train = whole.take(np.sort(np.concatenate(kept)))
        return train, None, test or whole.take(rows[-1])
    parts = [whole.take(part) for part in rows]
    return parts[0], parts[1], test or (parts[2] if len(parts) > 2 else None)


def _split(whole, types, options):
    """Random training and validation rows; rare labels are in training only."""
    from keras_mm.data.split import split_rows, with_rare_first

    table, target = whole.table, options.target[0]
    # Classes can be stratified, numbers cannot.
    stratify = None
    if len(options.target) == 1 and types[target].is_divided_evenly:
        stratify = target if table[target].astype(str).duplicated().any() else None
    rows = split_rows(table, None, (0.8, 0.2), options.groups, stratify, options.seed)
    labels = _labels(table, options.target, types)
    rows = with_rare_first(rows, table, options.groups, labels)
    train, validation = (set().union(*(labels[row] for row in part)) for part in rows)
    kept = f" (each {options.groups} in one part)" if options.groups else ""
    print(
        f"Split at random{kept}: {len(rows[0])} training, {len(rows[1])} "
        "validation rows"
    )
    rare = sorted(label for _, label in train - validation)
    if rare:
        more = f" and {len(rare) - 10} more" if len(rare) > 10 else ""
        print(
            f"Too rare to validate on, in training only: {', '.join(rare[:10])}{more}"
        )
    return [whole.take(part) for part in rows]


def _labels(table, targets, types):
    """For each row its labels: a set of (target, label)."""
    from keras_mm.inputs.cells import cells_in, is_missing

    labels = [set() for _ in range(len(table))]
    for name in targets:
        for row, cell in enumerate(cells_in(table[name])):
            if not is_missing(cell):
                names = types[name].names_in(cell)
                labels[row].update((name, label) for label in names)
    return labels
