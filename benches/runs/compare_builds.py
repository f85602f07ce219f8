#!/usr/bin/env python3
"""Runs builds of assay in turn over the same documents and prints what each run cost, a JSON line a run.

    compare_builds.py --build before=PATH --build after=PATH --model DIR [--model DIR] --datasets DIR

Each build takes each set of tasks `--repeats` times, the builds in turn, so that a slow minute of a shared machine falls on all of
them. Times are those of `run.json`, of which some go beside each other: `seconds` there.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

SUBJECTS = [
    "anatomy", "astronomy", "college_biology", "high_school_geography", "machine_learning",
    "marketing", "nutrition", "philosophy", "sociology", "virology",
]
SETS = [
    ("arc_challenge", 6), ("hellaswag", 12), ("truthfulqa_mc", 12), ("winogrande", 40), ("gsm8k", 4),
    (",".join(f"hendrycksTest-{subject}" for subject in SUBJECTS), 4),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", action="append", required=True, help="name=path of the binary")
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--datasets", required=True)
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    for model in arguments.model:
        for tasks, limit in SETS:
            for _ in range(arguments.repeats):
                for build in arguments.build:
                    name, path = build.split("=", 1)
                    print(json.dumps(measure(name, path, model, tasks, limit, arguments.datasets)), flush=True)


def measure(name, path, model, tasks, limit, datasets):
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "run"
        command = [path, "eval", "--no-cache", "--tasks", tasks, "--limit", str(limit), "--model", model, "--datasets", datasets]
        subprocess.run([*command, "--output", output], check=True, capture_output=True)
        run = json.loads((output / "run.json").read_text())
    fields = ["dtype", "kernels", "threads", "tokens_alone", "tokens_planned", "tokens_computed", "tokens_generated", "passes", "peak_live_kv_tokens"]
    return {
        "build": name,
        "model": pathlib.Path(model).name,
        "tasks": tasks if "," not in tasks else f"{tasks.count(',') + 1} of mmlu",
        "limit": limit,
        **{field: run[field] for field in fields if field in run},
        **{f"{stage}_s": round(seconds, 3) for stage, seconds in run["seconds"].items()},
    }


main()
