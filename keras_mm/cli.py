"""The `keras-mm` command: a thin face on the functions of the package."""

import argparse
import json
import logging
import os
import sys


def main(arguments=None):
    """Runs the command; returns the exit code.

    0: done. 1: the data or the files are not as they should be; the reason is
    on standard error. 2: the command line cannot be understood.
    """
    options = _parser().parse_args(arguments)
    # Every model compiles a function of its own, which TensorFlow takes for
    # one function that is compiled again and again.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        options.run(options)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        if options.traceback:
            raise
        print(f"keras-mm: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("keras-mm: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="keras-mm",
        description="Tables of pictures, texts, numbers and categories to Keras "
        "models, and models to TF Serving.",
        epilog="KERAS_BACKEND=tensorflow|jax|torch chooses what Keras runs on.",
    )
    parser.add_argument(
        "--traceback", action="store_true", help="show where an error came from"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="train, compare, export and ask models of the bundled clip art",
    )
    demo.add_argument("--output", default="runs/demo", help="folder for the results")
    demo.add_argument("--quick", action="store_true", help="few rows and epochs")
    demo.add_argument("--seed", type=int, default=0)
    demo.set_defaults(run=_demo)

    train = commands.add_parser(
        "train",
        help="train a model on a table",
        description="Trains a model on a CSV, TSV, Parquet or JSON Lines table. "
        "What each column is taken for is printed.",
    )
    train.add_argument("table", metavar="TABLE")
    train.add_argument(
        "--target",
        required=True,
        action="append",
        help="column to predict; may be given several times",
    )
    train.add_argument("--inputs", type=_names, help="columns to use: a,b,c")
    train.add_argument(
        "--exclude", type=_names, default=[], help="columns to leave out: a,b,c"
    )
    train.add_argument("--validation", metavar="TABLE", help="table to validate on")
    train.add_argument("--test", metavar="TABLE", help="table to report scores on")
    train.add_argument("--split-by", metavar="COLUMN", help="train, val or test a row")
    train.add_argument("--groups", metavar="COLUMN", help="rows to keep together")
    train.add_argument("--output", default="model.keras", help="file for the model")
    train.add_argument("--fusion", help="name of the fusion")
    train.add_argument("--image-size", type=int, default=96, help="pixels a side")
    train.add_argument("--epochs", type=_positive, default=60, help="at the most")
    train.add_argument("--batch-size", type=_positive, default=32)
    train.add_argument("--modality-dropout", type=float, default=None)
    train.add_argument("--class-weight", choices=["balanced"])
    train.add_argument("--seed", type=int, default=0)
    _reading(train)
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("evaluate", help="score a model on a table")
    evaluate.add_argument("model", metavar="MODEL", help="a .keras file")
    evaluate.add_argument("table", metavar="TABLE")
    evaluate.add_argument(
        "--withhold", type=_names, default=[], help="inputs to treat as missing"
    )
    _reading(evaluate)
    evaluate.set_defaults(run=_evaluate)

    predict = commands.add_parser("predict", help="predict the rows of a table")
    predict.add_argument("model", metavar="MODEL", help="a .keras file or an export")
    predict.add_argument("table", metavar="TABLE")
    predict.add_argument("--output", help="CSV file; standard output if not given")
    _reading(predict)
    predict.set_defaults(run=_predict)

    export = commands.add_parser("export", help="write a model for TF Serving")
    export.add_argument("model", metavar="MODEL", help="a .keras file")
    export.add_argument("path", metavar="FOLDER", help="such as saved_models/name")
    export.set_defaults(run=_export)

    inspect = commands.add_parser(
        "inspect", help="say what a model or an export takes and gives"
    )
    inspect.add_argument("model", metavar="MODEL", help="a .keras file or an export")
    inspect.add_argument("--json", action="store_true")
    inspect.set_defaults(run=_inspect)
    return parser


def _reading(parser):
    parser.add_argument(
        "--base-dir", help="folder that relative paths in the table start from"
    )
    parser.add_argument(
        "--bad",
        choices=["error", "missing"],
        default="error",
        help="what to do with cells that cannot be read",
    )


def _names(text):
    return [name.strip() for name in text.split(",") if name.strip()]


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _demo(options):
    from .demo import demo

    demo(options.output, quick=options.quick, seed=options.seed)


def _base_dir(options):
    """Paths in a table file start from the file's own folder, unless told."""
    return options.base_dir or os.path.dirname(os.path.abspath(options.table))


def _train(options):
    import keras_mm

    base_dir = _base_dir(options)
    table = keras_mm.data.to_table(options.table)
    test = options.test and keras_mm.data.to_table(options.test)
    if options.validation:
        train, validation = table, keras_mm.data.to_table(options.validation)
    elif options.split_by:
        parts = keras_mm.data.split(table, by=options.split_by)
        if len(parts) < 2:
            raise ValueError(
                f"Column {options.split_by!r} names one part only. "
                f"Received: split_by={options.split_by!r}"
            )
        train, validation = parts[:2]
        test = parts[2] if len(parts) > 2 and test is None else test
    else:
        # Classes can be dealt out evenly, numbers cannot.
        target = options.target[0]
        values = table.get(target) if len(options.target) == 1 else None
        counts = None if values is None else values.astype(str).value_counts()
        few = counts is not None and len(counts) <= min(100, len(table) / 2)
        stratify = target if few else None
        train, validation = keras_mm.data.split(
            table,
            fractions=(0.8, 0.2),
            groups=options.groups,
            stratify=stratify,
            seed=options.seed,
        )
        kept = f" (each {options.groups} in one part)" if options.groups else ""
        print(
            f"Split at random{kept}: {len(train)} training, {len(validation)} "
            "validation rows"
        )
    aside = [name for name in (options.split_by, options.groups) if name]
    schema = keras_mm.infer_schema(
        train,
        target=options.target,
        inputs=options.inputs,
        exclude=[*options.exclude, *aside],
        base_dir=base_dir,
        image_size=options.image_size,
    )
    if schema.has_several_targets:
        build = keras_mm.build_multitask
    elif isinstance(schema.target, keras_mm.Number):
        build = keras_mm.build_regressor
    else:
        build = keras_mm.build_classifier
    settings = {"fusion": options.fusion, "seed": options.seed}
    if options.modality_dropout is not None:
        settings["modality_dropout"] = options.modality_dropout
    model = build(schema, **settings)
    print(f"Model with {model.count_params():,} parameters")
    model.fit(
        train,
        validation_data=validation,
        epochs=options.epochs,
        batch_size=options.batch_size,
        class_weight=options.class_weight,
        base_dir=base_dir,
        bad=options.bad,
        verbose=0,
        callbacks=keras_mm.training.callbacks("training"),
    )
    for name, part in (("validation", validation), ("test", test)):
        if part is not None:
            scores = keras_mm.evaluation.score(
                model, part, base_dir=base_dir, bad=options.bad
            )
            _print_scores(name, scores)
    folder = os.path.dirname(options.output)
    if folder:
        os.makedirs(folder, exist_ok=True)
    model.save(options.output)
    print(f"Saved to {options.output}")


def _print_scores(name, scores):
    if any(isinstance(value, dict) for value in scores.values()):
        for target, values in scores.items():
            _print_scores(f"{name} {target}", values)
        return
    values = "  ".join(f"{key} {value:.4f}" for key, value in scores.items())
    print(f"{name}: {values or 'no row has a label'}")


def _load(path):
    import keras

    import keras_mm  # noqa: F401, registers the layers

    if not os.path.isfile(path):
        raise ValueError(f"There is no such model file. Received: model={path!r}")
    return keras.models.load_model(path)


def _evaluate(options):
    import keras_mm

    model = _load(options.model)
    scores = keras_mm.evaluation.score(
        model,
        options.table,
        withhold=options.withhold,
        base_dir=_base_dir(options),
        bad=options.bad,
    )
    _print_scores(os.path.basename(options.table), scores)


def _predict(options):
    import keras_mm

    table = keras_mm.data.to_table(options.table)
    if os.path.isdir(options.model):
        exported = keras_mm.load_exported(options.model)
        answers = exported(table, base_dir=_base_dir(options))
    else:
        model = _load(options.model)
        output = model.predict(
            table, base_dir=_base_dir(options), bad=options.bad, verbose=0
        )
        answers = keras_mm.evaluation.to_frame(output, model.schema)
    if options.output:
        answers.to_csv(options.output, index=False)
        print(f"{len(answers)} predictions in {options.output}")
    else:
        answers.to_csv(sys.stdout, index=False)


def _export(options):
    import keras_mm

    keras_mm.export(_load(options.model), options.path)


def _inspect(options):
    import keras_mm

    if os.path.isdir(options.model):
        exported = keras_mm.load_exported(options.model)
        found = {
            signature: {
                "inputs": _specs(exported.inputs(signature)),
                "outputs": _specs(exported.outputs(signature)),
            }
            for signature in exported.signatures
        }
        if options.json:
            print(json.dumps(found, indent=2))
            return
        print(f"Exported model in {exported.path}")
        for signature, ends in found.items():
            print(f"\n{signature}")
            for way, arrow in (("inputs", "<-"), ("outputs", "->")):
                for name, spec in ends[way].items():
                    print(f"  {arrow} {name}: {spec['dtype']} {spec['shape']}")
        return
    model = _load(options.model)
    if getattr(model, "schema", None) is None:
        raise ValueError(
            "The file holds a Keras model without a schema. "
            f"Received: model={options.model!r}"
        )
    if options.json:
        print(json.dumps(model.schema.get_config(), indent=2))
        return
    print(model.schema.describe())
    print(f"  {model.count_params():,} parameters")
    model.summary()


def _specs(specs):
    return {
        name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
        for name, spec in sorted(specs.items())
    }


if __name__ == "__main__":
    sys.exit(main())
