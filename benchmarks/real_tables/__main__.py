"""This library's defaults and other libraries on tables as people have them.

    python benchmarks/real_tables --sets cdda_price --methods boosted keras_mm
    python benchmarks/real_tables --methods lightgbm --python lightgbm=VENV/bin/python
    python benchmarks/real_tables --report

Every fit is a process of its own that gets the same rows by Parquet files; a rival
may be installed in another interpreter. Results are kept in `--results`, one line a
set, split, choice of columns and method; what is there is not done again. `--report`
prints the tables of what is there.

Splits are the table's own (`own`) and five folds by group. A method gets training
and validation rows and does with them what it likes; nothing is chosen by test rows.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import report
import sets

HERE = os.path.dirname(os.path.abspath(__file__))
# What each method reads, where it does not read all choices of columns.
EVERYTHING = ("everything", "text")
READS = {
    "constant": ("everything", "text"),
    "linear_tfidf": ("text",),
    "picture_linear": ("picture",),
    "boosted": ("numbers", "numbers + categories", *EVERYTHING),
    "lightgbm": ("numbers", "numbers + categories", *EVERYTHING),
    "catboost": ("numbers", "numbers + categories", *EVERYTHING),
    "autogluon": ("numbers", "numbers + categories", *EVERYTHING),
    "summed": ("everything",),
    "widedeep": EVERYTHING,
    "autokeras": EVERYTHING,
    "autogluon_multimodal": EVERYTHING,
}


def choices(task, method, only):
    """The choices of columns that a method gets: everything, and its parts."""
    reads = READS.get(method, tuple(task.columns))
    if "everything" in task.columns and method in READS and len(reads) > 1:
        reads = [name for name in reads if name != "text"]
    found = [name for name in task.columns if name in reads]
    return [name for name in found if not only or name in only]


def fit(task, parts, method, columns, options):
    """One fit; its line of results and its predictions, or the error."""
    chosen = task.columns[columns]
    roles = {name: task.roles[name] for name in chosen}
    about = {
        "method": method,
        "target": task.target,
        "kind": task.kind,
        "roles": roles,
        "classes": task.classes,
        "groups": task.groups,
        "epochs": options.epochs,
    }
    python = dict(given.split("=", 1) for given in options.python)
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in zip(("train", "validation", "test"), parts, strict=True):
            kept = chosen
            if name != "test":
                kept = [*chosen, task.target]
                kept += [] if task.groups is None else [task.groups]
            table = task.table.iloc[rows][kept].reset_index(drop=True)
            table.to_parquet(os.path.join(folder, f"{name}.parquet"))
        with open(os.path.join(folder, "task.json"), "w", encoding="utf-8") as file:
            json.dump(about, file)
        done = subprocess.run(
            [
                python.get(method, sys.executable),
                os.path.join(HERE, "fit_one.py"),
                folder,
            ],
            capture_output=True,
            text=True,
            cwd=folder,
        )
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()
            return {"error": "\n".join(lines[-3:])}, None
        with open(os.path.join(folder, "answer.json"), encoding="utf-8") as file:
            return json.load(file), np.load(os.path.join(folder, "predictions.npy"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--results", default="real_tables_results")
    parser.add_argument("--sets", nargs="+", default=list(sets.SETS))
    parser.add_argument("--methods", nargs="+", default=[*READS, "keras_mm"])
    parser.add_argument("--splits", nargs="+", default=["own", "0", "1", "2", "3", "4"])
    parser.add_argument("--folds", type=int, default=sets.FOLDS, help="at most so many")
    parser.add_argument("--only", nargs="*", help='choices, such as "numbers"')
    parser.add_argument("--epochs", type=int, help="of this library, to try it")
    parser.add_argument("--python", action="append", default=[], help="METHOD=PATH")
    parser.add_argument("--again", action="store_true", help="even what is there")
    parser.add_argument("--report", action="store_true", help="print tables only")
    options = parser.parse_args()
    results = report.Results(options.results)
    for name in options.sets:
        task = sets.SETS[name](options.data)
        if task is None:
            print(f"{name}: skipped, its table is not in {options.data}")
            continue
        if options.report:
            print(results.table(name, task))
            print(results.differences(name, task))
            continue
        for split in options.splits:
            if split == "own" and not task.own_split:
                continue
            if split != "own" and int(split) >= options.folds:
                continue
            parts = task.parts(split if split == "own" else int(split))
            for method in options.methods:
                for columns in choices(task, method, options.only):
                    key = (name, split, method, columns)
                    if results.has(key) and not options.again:
                        continue
                    started = time.time()
                    answer, predictions = fit(task, parts, method, columns, options)
                    line = results.add(key, task, parts[2], answer, predictions)
                    print(f"{time.time() - started:5.0f} s", line, flush=True)


if __name__ == "__main__":
    main()
