"""The `keras-mm` command: a thin wrapper of the package's functions."""

import argparse
import json
import logging
import os
import sys

from .train_command import TYPES, names_in, part_of, print_scores, train_model


def main(arguments=None):
    """Runs the command; returns the exit code.

    0: success. 1: invalid data or files; the reason is on standard error. 2: invalid
    command line.
    """
    options = _parser().parse_args(arguments)
    # Every model compiles its own function, which TensorFlow would report as
    # retracing.
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
        description="Tables of images, texts, numbers and categories to Keras "
        "models, and models to TF Serving.",
        epilog="KERAS_BACKEND=tensorflow|jax|torch chooses what Keras runs on.",
    )
    parser.add_argument(
        "--traceback", action="store_true", help="show the traceback of an error"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="train, compare, export and run models on the bundled clip art",
    )
    demo.add_argument("--output", default="runs/demo", help="folder for the results")
    demo.add_argument("--quick", action="store_true", help="few rows and epochs")
    demo.add_argument("--seed", type=int, default=0)
    demo.set_defaults(run=_demo)

    train = commands.add_parser(
        "train",
        help="train a model on a table",
        description="Trains a model on a CSV, TSV, Parquet, JSON or JSON Lines table. "
        "The inferred type of each column is printed.",
    )
    train.add_argument("table", metavar="TABLE")
    train.add_argument(
        "--target",
        required=True,
        action="append",
        help="column to predict; may be given several times",
    )
    train.add_argument(
        "--as",
        "--task",
        dest="types",
        type=_type,
        action="append",
        default=[],
        metavar="[COLUMN=]TYPE",
        help="type of a column, or of the target if no column is named, instead of the "
        f"inferred one: {', '.join(TYPES)}; may be given several times",
    )
    several = "a,b,c; may be given several times"
    train.add_argument("--inputs", action="append", help=f"columns to use: {several}")
    train.add_argument(
        "--exclude",
        action="append",
        default=[],
        help=f"columns to leave out: {several}",
    )
    train.add_argument("--validation", metavar="TABLE", help="table to validate on")
    train.add_argument("--test", metavar="TABLE", help="table to report scores on")
    train.add_argument("--split-by", metavar="COLUMN", help="train, val or test a row")
    train.add_argument("--groups", metavar="COLUMN", help="rows to keep together")
    train.add_argument("--output", default="model.keras", help="file for the model")
    train.add_argument("--fusion", help="name of the fusion")
    train.add_argument(
        "--pretrained",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="read pictures, texts and sounds by small pretrained backbones of KerasHub, "
        "which are downloaded, or taken from a folder that holds them by name",
    )
    train.add_argument(
        "--cache",
        metavar="FOLDER",
        help="where to keep what the pretrained backbones give, up to 2 GB; "
        "default: keras_mm/tokens in KERAS_HOME or ~/.keras",
    )
    train.add_argument(
        "--image-size",
        type=int,
        help="pixels a side: 96 if not given, 224 with --pretrained",
    )
    by_size = "depends on the number of rows if not given"
    train.add_argument("--epochs", type=_positive, help=f"at the most; {by_size}")
    train.add_argument("--batch-size", type=_positive, help=by_size)
    train.add_argument("--modality-dropout", type=float, default=None)
    train.add_argument("--class-weight", choices=["balanced"])
    train.add_argument(
        "--ensemble",
        action="store_true",
        help="average a model of each fold of all rows but the test rows",
    )
    train.add_argument("--folds", type=_positive, help="of an ensemble; default: 5")
    train.add_argument(
        "--time-limit", type=float, metavar="SECONDS", help="of an ensemble"
    )
    train.add_argument("--seed", type=int, default=0)
    _reading(train)
    train.set_defaults(run=train_model)

    evaluate = commands.add_parser("evaluate", help="score a model on a table")
    evaluate.add_argument("model", metavar="MODEL", help="a .keras file")
    evaluate.add_argument("table", metavar="TABLE")
    evaluate.add_argument(
        "--withhold",
        action="append",
        default=[],
        help="inputs to treat as missing: a,b,c; may be given several times",
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
        "inspect", help="show the inputs and outputs of a model or an export"
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
        "--on-unreadable",
        choices=["error", "missing"],
        default="error",
        help="what to do with cells that cannot be read",
    )
    parser.add_argument(
        "--bad",
        choices=["error", "missing"],
        default=argparse.SUPPRESS,
        dest="on_unreadable",
        action=_OldName,
        help=argparse.SUPPRESS,
    )
    parser.add_argument(
        "--missing",
        type=_words,
        action="extend",
        default=[],
        metavar="TEXTS",
        help="texts for missing cells, besides the empty one: NA,?; may be given several "
        "times; a trained model holds those of its training",
    )


class _OldName(argparse.Action):
    """The old name of an option: does the same, with a warning."""

    def __call__(self, parser, options, value, name):
        new = "--" + self.dest.replace("_", "-")
        print(
            f"keras-mm: warning: {name} is now called {new}; the old name will not "
            "work in the next version.",
            file=sys.stderr,
        )
        setattr(options, self.dest, value)


def _words(text):
    # Not stripped: blanks may be one of the texts.
    return [word for word in text.split(",") if word]


def _type(text):
    column, _, kind = text.rpartition("=")
    if kind not in TYPES:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(TYPES)}")
    return column, kind


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _demo(options):
    from .demo import demo

    demo(options.output, quick=options.quick, seed=options.seed)


def _load(path):
    import keras

    import keras_mm  # noqa: F401, registers the layers

    if not os.path.isfile(path):
        raise ValueError(f"The model file does not exist. Received: model={path!r}")
    return keras.models.load_model(path)


def _evaluate(options):
    import keras_mm

    model, part = _load(options.model), part_of(options.table, options)
    with part.named():
        scores = keras_mm.evaluation.score(
            model,
            part.table,
            withhold=options.withhold
            and names_in(options.withhold, model.schema.inputs),
            base_dir=part.base_dir,
            on_unreadable=options.on_unreadable,
        )
    print_scores(os.path.basename(options.table), scores)


def _predict(options):
    import keras_mm

    part = part_of(options.table, options)
    if os.path.isdir(options.model):
        exported = keras_mm.load_exported(options.model)
        with part.named():
            answers = exported(
                part.table, base_dir=part.base_dir, on_unreadable=options.on_unreadable
            )
    else:
        model = _load(options.model)
        with part.named():
            output = model.predict(
                part.table,
                base_dir=part.base_dir,
                on_unreadable=options.on_unreadable,
                verbose=0,
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
        described = {
            signature: {
                "inputs": _specs(exported.inputs(signature)),
                "outputs": _specs(exported.outputs(signature)),
            }
            for signature in exported.signatures
        }
        if options.json:
            print(json.dumps(described, indent=2))
            return
        print(f"Exported model in {exported.path}")
        for signature, ends in described.items():
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
