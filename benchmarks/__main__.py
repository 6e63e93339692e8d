"""`python -m benchmarks [NAME ...] [--json FILE]`: the named benchmarks, or all quick ones, as a table and as JSON.

`performance` sweeps sizes for five minutes, `attention2d` and `classify` take as long,
`choices` and `cnn_vs_attention` train models for over an hour, each of `speech` and `images`
takes some minutes, `images.fashion` most of an hour, `shards` takes gigabytes, `page` needs a browser,
`gpu`, `gpu_training` and `tune` a card; they run only when they are named.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys

QUICK = (
    *("startup", "attention", "native", "memory", "throughput", "prediction", "transduce", "streaming", "recording"),
    "parallel",
)
SPEECH = ("speech.voices", "speech.frames", "speech.windows", "speech.length", "speech.hour")
IMAGES = ("images.digits", "images.mnist", "images.strokes", "images.strings", "images.fashion")
SLOW = (
    "performance",
    "attention2d",
    "classify",
    "choices",
    "cnn_vs_attention",
    "page",
    "shards",
    "gpu",
    "gpu_training",
    "tune",
    *IMAGES,
    *SPEECH,
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*QUICK, *SLOW], default=[])
    parser.add_argument("--json", metavar="FILE", help="write the results there too; - prints them")
    arguments = parser.parse_args()
    results = {"machine": {"cores": os.cpu_count()}}
    for name in arguments.names or QUICK:
        results[name] = importlib.import_module(f"benchmarks.{name}").run()
        print(f"\n{name}")
        for title, value in results[name].items():
            print(f"  {title:<70} {value:>12,.3f}" if isinstance(value, float) else f"  {title:<70} {value:>12}")
        sys.stdout.flush()
    if arguments.json == "-":
        print(json.dumps(results, indent=1))
    elif arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
