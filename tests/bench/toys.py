#!/usr/bin/env python3
"""Toys of configs/toy, trained in their variants over seeds: mode mixing, W2 and coverage beside the base variant.

    tests/bench/toys.py --fwm build/fwm [--seeds 3] [--only discs,moons] [--out FOLDER]

One line a variant: mean and deviation over seeds, and ratios to the base of the same seed. The last lines judge what the
regulariser is held to: mixing at most 0.80 (discs, moons), 0.90 (Gaussians), 0.75 (Duffing) of the base, W2 at most 1.1,
coverage at least 0.93 of it; the gate's mixing at most 0.03 (0.005 for discs and Gaussians); on the strip, where nothing
is disconnected, the edge term changes nothing beyond the spread of seeds. A figure that misses says so. Results are kept
in FOLDER; runs that are there are not repeated."""
import argparse
import json
import os
import statistics
import subprocess

TOYS = {  # config: (variants, limit on mixing, limit on the gate's)
    "discs": (("base", "hard", "hard_is", "gate"), 0.80, 0.005),
    "moons": (("base", "hard", "hard_is", "gate"), 0.80, 0.03),
    "gaussians": (("base", "hard", "hard_is", "gate"), 0.90, 0.005),
    "duffing": (("base", "hard", "hard_is", "gate"), 0.75, None),
    "line": (("base", "hard_is"), None, None),
    "gaussians16": (("base", "hard_is", "gate"), None, None),
    "duffing16": (("base", "hard_is", "gate"), None, None),
    "duffing_mse": (("base", "hinge", "hinge10"), None, None),
}


def run(fwm, out, toy, variant, seed):
    folder = f"{out}/{toy}/{variant}-{seed}"
    result = f"{folder}/metrics.json"
    if not os.path.exists(result):
        config = f"configs/toy/{toy}.yaml"
        data = f"{out}/{toy}-{seed}.h5"
        sets = ["--set", f"seed={seed}", "--set", f"data.file={data}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        for command in (
            ["simulate", config, *sets],
            ["train", config, *sets, "--variant", variant, "--out", folder],
            ["eval", f"{folder}/last.ckpt", "--no-report"],
        ):
            done = subprocess.run([fwm, *command], **quiet)
            if done.returncode:
                raise SystemExit(f"fwm {' '.join(command)}: {done.stderr}")
    figures = json.load(open(result))
    last = {}
    for line in open(f"{folder}/metrics.jsonl"):
        last.update(json.loads(line))
    figures["edge"], figures["fit"] = last["loss_edge"], last["loss_ot"]
    return figures


def spread(values):
    return f"{statistics.mean(values):.4f}+-{statistics.stdev(values) if len(values) > 1 else 0:.4f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fwm", default="build/fwm")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default=",".join(TOYS))
    parser.add_argument("--variants", default="", help="only these, and base")
    parser.add_argument("--out", default="checkpoints/toys")
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    verdicts = []
    for toy in options.only.split(","):
        variants, limit, gate_limit = TOYS[toy]
        chosen = options.variants.split(",") if options.variants else variants
        variants = [v for v in variants if v == "base" or v in chosen]
        table = {v: [run(options.fwm, options.out, toy, v, s) for s in range(options.seeds)] for v in variants}
        base = table["base"]
        for variant in variants:
            rows = table[variant]
            ratio = {k: statistics.mean(r[k] for r in rows) / max(statistics.mean(r[k] for r in base), 1e-12)
                     for k in ("mixing", "joint_w2", "coverage")}
            cells = "  ".join(f"{k} {spread([r[k] for r in rows])}" for k in ("mixing", "off", "joint_w2", "coverage"))
            error = f"  squared error {spread([r['squared_error'] for r in rows])}" if rows[0]["squared_error"] else ""
            print(f"{toy:12s} {variant:8s} {cells}{error}  of base: mixing {ratio['mixing']:.2f} W2 "
                  f"{ratio['joint_w2']:.2f} coverage {ratio['coverage']:.2f}", flush=True)
            if variant == "hard_is" and limit:
                good = ratio["mixing"] <= limit and ratio["joint_w2"] <= 1.1 and ratio["coverage"] >= 0.93
                verdicts.append(f"{'met ' if good else 'MISS'} {toy}: mixing {ratio['mixing']:.2f} of base (at most {limit}), "
                                f"W2 {ratio['joint_w2']:.2f} (1.1), coverage {ratio['coverage']:.2f} (0.93)")
            if variant == "gate" and gate_limit:
                worst = max(r["mixing"] for r in rows)
                verdicts.append(f"{'met ' if worst <= gate_limit else 'MISS'} {toy}: gate's mixing at most {worst:.4f} ({gate_limit})")
        if toy == "line" and "hard_is" in table:
            edge = max(r["edge"] / r["fit"] for r in table["hard_is"])
            change = abs(statistics.mean(r["joint_w2"] for r in table["hard_is"]) - statistics.mean(r["joint_w2"] for r in base))
            noise = max(statistics.stdev(r["joint_w2"] for r in rows) for rows in table.values()) if options.seeds > 1 else 0
            good = edge < 1e-2 and change <= 2 * noise
            verdicts.append(f"{'met ' if good else 'MISS'} line: edge term {edge:.2e} of the divergence (below 1e-2), W2 moved by "
                            f"{change:.4f} (spread of seeds {noise:.4f})")
    print("\n".join(verdicts))


if __name__ == "__main__":
    main()
