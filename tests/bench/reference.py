#!/usr/bin/env python3
"""The reference models S and M: fwm's training step against the best of PyTorch's and JAX's, in one run.

    python3 tests/bench/reference.py [--python /usr/bin/python3]... [--threads 2] [--rounds 5] [--models sm] [--all] [--json]

--python (or BENCH_PYTHON, paths apart by blanks) names the interpreters whose PyTorch or JAX are measured. Every way of doing a
step (fwm; PyTorch eager and compiled, contiguous and channels_last; JAX) lives in a process of its own, which tells its peak
memory; the time from its start to its first step is measured from here. After a few steps each, ways that are PRUNE times slower
than the best peer end there (--all keeps them); the others and fwm take turns for the rounds. A value is the median over the
rounds, the ratio the median of the rounds' own ratios. Nothing but the standard library is needed to run this; what is measured
needs what it names."""
import argparse
import json
import os
import pathlib
import select
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
OPENBLAS = "/usr/lib/x86_64-linux-gnu/openblas-openmp"  # Debian's flavour that shares PyTorch's OpenMP runtime
WARM_STEPS, PRUNE, HOPELESS = 3, 1.3, 3.0
BARS = {"s": 2.5, "m": 1.4}


# ---- a worker: one way of doing one model's step --------------------------------------------------------------------------
def status_kib(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key))


def openmp_runtimes():
    with open("/proc/self/maps") as file:
        names = {os.path.realpath(line.split()[-1]) for line in file if "/" in line}
    return sorted(n for n in names if any(part in os.path.basename(n) for part in ("libgomp", "libiomp", "libomp")))


def quickest(torch, parameters, ways):
    """Of the AdamW implementations that this PyTorch has, the one whose update is quickest."""
    for p in parameters:
        p.grad = torch.ones_like(p)
    best = None
    for way in ways:
        try:
            optimizer = torch.optim.AdamW(parameters, lr=1e-9, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, **{way: True})
            optimizer.step()
        except (TypeError, RuntimeError):
            continue  # this version has it not
        times = []
        for _ in range(5):
            start = time.perf_counter()
            optimizer.step()
            times.append(time.perf_counter() - start)
        if best is None or statistics.median(times) < best[0]:
            best = statistics.median(times), way, optimizer
        del optimizer
    return best[1], best[2]


def torch_step(model, way, threads):
    import torch
    imported = status_kib("VmRSS")
    import models
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    module = models.torch_models(torch)[model]()
    rows = models.BATCH * models.CLIP if model == "s" else models.BATCH
    colors = models.COLORS if model == "s" else models.CHANNELS
    inputs = [torch.randn(rows, colors, models.SIDE, models.SIDE)]
    inputs.append(torch.randn(rows, models.STATE) if model == "s" else torch.randn_like(inputs[0]))
    if "channels_last" in way:
        module = module.to(memory_format=torch.channels_last)
        inputs = [x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x for x in inputs]
    parameters = list(module.parameters())
    adamw, optimizer = quickest(torch, parameters, ("fused", "foreach"))
    call = torch.compile(module, dynamic=False) if "compiled" in way else module

    def step():
        optimizer.zero_grad(set_to_none=True)
        noise = [torch.randn(models.CLIP, models.BATCH, models.LATENT)] if model == "s" else []
        loss = call(*inputs, *noise)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, {"imported_kib": imported, "parameters": sum(p.numel() for p in parameters), "adamw": adamw}


def jax_step(model, way, threads):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])  # as many threads as XLA's pool then has
    import jax
    import jax.numpy as jnp
    import numpy as np
    imported = status_kib("VmRSS")
    import models
    loss = models.jax_losses(jax)[model]
    random = np.random.default_rng(0)
    rows = models.BATCH * models.CLIP if model == "s" else models.BATCH
    colors = models.COLORS if model == "s" else models.CHANNELS
    x = random.normal(size=(rows, models.SIDE, models.SIDE, colors)).astype(np.float32)
    y = random.normal(size=(rows, models.STATE) if model == "s" else x.shape).astype(np.float32)
    inputs = [jnp.asarray(x), jnp.asarray(y)]
    weights = {name[len("weights/"):]: a for name, a in models.read_tensors(os.environ["FWM_WEIGHTS"]).items()}
    state = (jax.tree.map(jnp.asarray, weights), jax.tree.map(jnp.zeros_like, weights), jax.tree.map(jnp.zeros_like, weights),
             jnp.zeros((), jnp.int32))

    def update(state, inputs):
        p, m, v, t = state
        noise = [jax.random.normal(jax.random.key(t), (models.CLIP, models.BATCH, models.LATENT))] if model == "s" else []
        value, g = jax.value_and_grad(loss)(p, *inputs, *noise)
        t = t + 1
        c1, c2 = 1 - 0.9 ** t.astype(jnp.float32), 1 - 0.999 ** t.astype(jnp.float32)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        p = jax.tree.map(lambda p, m, v: p * (1 - 1e-11) - 1e-9 * (m / c1) / (jnp.sqrt(v / c2) + 1e-8), p, m, v)
        return (p, m, v, t), value

    run = jax.jit(update, donate_argnums=0)

    def step():
        nonlocal state
        state, value = run(state, inputs)
        jax.block_until_ready(state)
        return float(value)

    return step, {"imported_kib": imported, "parameters": sum(a.size for a in weights.values()), "adamw": "in the graph"}


def work(way, model, threads):
    """A line of JSON after each step; the next step for each line of standard input."""
    sys.path.insert(0, str(HERE))
    step, about = (jax_step if way.startswith("jax") else torch_step)(model, way, threads)
    while True:
        start = time.perf_counter()
        loss = step()
        print(json.dumps({"ms": 1e3 * (time.perf_counter() - start), "loss": loss, "peak_kib": status_kib("VmHWM"),
                          "openmp": openmp_runtimes(), **about}), flush=True)
        if not sys.stdin.readline():
            return


# ---- the driver -----------------------------------------------------------------------------------------------------------
class Way:
    """A process that does one model's step in one way."""

    def __init__(self, name, command, environment, patience):
        self.name, self.times, self.about, self.why = name, [], {}, None
        self.cache = environment.get("TORCHINDUCTOR_CACHE_DIR")
        self.log = open(os.devnull, "w") if "FWM_BENCH_LOUD" not in os.environ else None
        start = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env=environment)
        self.receive(patience)
        self.start = time.perf_counter() - start

    def receive(self, patience):
        if self.process is None:
            return None
        ready, _, _ = select.select([self.process.stdout], [], [], patience)
        line = self.process.stdout.readline() if ready else ""
        try:
            self.about = json.loads(line)
        except ValueError:
            self.why = "it ended" if ready else f"no step within {patience:.0f} s"
            self.end()
            if self.cache:  # a compilation that was cut off leaves half a library, at which the next one would end
                shutil.rmtree(self.cache, ignore_errors=True)
            return None
        return self.about["ms"]

    def step(self):
        if self.process is None:
            return
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        ms = self.receive(120)
        if ms is not None:
            self.times.append(ms)

    def end(self):
        if self.process is None:
            return
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process = None

    def row(self):
        good = bool(self.times)
        return {"way": self.name, "ms": statistics.median(self.times) if good else None,
                "least": min(self.times, default=None), "most": max(self.times, default=None), "steps": len(self.times),
                "start_s": self.start, "peak_mb": self.about.get("peak_kib", 0) * 1024e-6,
                "own_mb": (self.about.get("peak_kib", 0) - self.about.get("imported_kib", 0)) * 1024e-6,
                "adamw": self.about.get("adamw"), "openmp": self.about.get("openmp"), "why": self.why}


PROBE = """
import importlib, json
found = {}
for name in ("torch", "jax"):
    try:
        found[name] = importlib.import_module(name).__version__
    except Exception:
        pass
print(json.dumps(found))
"""


def libraries(python):
    try:
        run = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, timeout=180, env=environment_of(python, 0))
        return json.loads(run.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        print(f"{python}: cannot be asked: {error}", file=sys.stderr)
        return {}


def environment_of(python, threads):
    environment = dict(os.environ)
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    if python.startswith("/usr/bin/") and os.path.isdir(OPENBLAS):
        environment["LD_LIBRARY_PATH"] = OPENBLAS
    return environment


def ways_of(arguments):
    """(name, python, worker's way) of all peers."""
    for python in arguments.python:
        found = libraries(python)
        if not found:
            print(f"{python}: neither torch nor jax", file=sys.stderr)
        if "torch" in found:
            version = found["torch"].split("+")[0]
            for kind in ("eager", "compiled") if int(version.split(".")[0]) >= 2 else ("eager",):
                for memory in ("contiguous", "channels_last"):
                    yield f"torch {version} {kind} {memory}", python, f"torch {kind} {memory}"
        if "jax" in found:
            yield f"jax {found['jax']}", python, "jax"


def folder():
    return pathlib.Path(os.environ.get("TMPDIR", "/tmp"))


def open_way(arguments, model, name, python, way):
    environment = environment_of(python, arguments.threads)
    environment["FWM_WEIGHTS"] = str(arguments.weights[model])
    if "compiled" in way:  # kept for the next run
        environment["TORCHINDUCTOR_CACHE_DIR"] = str(folder() / ("fwm-" + f"{name} {model}".replace(" ", "-")))
    command = [python, str(HERE / "reference.py"), "--worker", way, "--models", model, "--threads", str(arguments.threads)]
    return Way(name, command, environment, arguments.patience)


def warm(way, best=None):
    """A few steps; of a way that is HOPELESS times slower than the best, one."""
    for _ in range(WARM_STEPS):
        way.step()
        if best and way.times and way.times[-1] > HOPELESS * best:
            break
    if way.why:
        print(f"{way.name}: {way.why}; FWM_BENCH_LOUD=1 shows its messages", file=sys.stderr)


def measure(arguments, peers, model):
    environment = dict(environment_of("", arguments.threads))
    environment.setdefault("GOMP_SPINCOUNT", "3000")  # as fwm sets it
    fwm = Way("fwm", [str(arguments.program), "serve", model, str(arguments.threads)], environment, 60)
    warm(fwm)
    ways = []
    for peer in peers:
        way = open_way(arguments, model, *peer)
        warm(way, min((statistics.median(w.times) for w in ways if w.times), default=None))
        ways.append(way)
        known = [statistics.median(w.times) for w in ways if w.times]
        for w in ways:  # what cannot win any more gives its memory back
            if not arguments.all and w.times and statistics.median(w.times) > PRUNE * min(known):
                w.end()
    running = [w for w in ways if w.process]
    for w in [fwm, *running]:
        w.times.clear()
    for _ in range(arguments.rounds):
        for w in [fwm, *running]:
            w.step()
    for w in [fwm, *running]:
        w.end()
    return fwm, ways, running


def summary(model, fwm, running):
    alive = [w for w in running if w.times]
    if not alive or not fwm.times:
        return None
    best = min(alive, key=lambda w: statistics.median(w.times))
    ratios = [b / a for a, b in zip(fwm.times, best.times)]
    lightest = min(alive, key=lambda w: w.about["peak_kib"])
    return {"model": model, "best": best.name, "ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios),
            "bar": BARS[model], "lightest": lightest.name, "memory": fwm.about["peak_kib"] / lightest.about["peak_kib"],
            "memory_of_best": fwm.about["peak_kib"] / best.about["peak_kib"], "parameters": fwm.about["parameters"],
            "gflop": fwm.about["gflop"], "gflops": fwm.about["gflop"] / statistics.median(fwm.times) * 1e3}


def show(model, fwm, ways, running, result):
    print(f"{model.upper()}: {fwm.about.get('parameters', 0) / 1e6:.2f} M parameters, {fwm.about.get('gflop', 0):.1f} GFLOP a step")
    print(f"  {'way':38} {'ms/step':>8} {'least':>8} {'most':>8} {'peak MB':>8} {'own MB':>8} {'start s':>8}")
    for way in [fwm, *ways]:
        r = way.row()
        if r["ms"] is None:
            print(f"  {r['way']:38} {'-':>8}  {r['why']}")
            continue
        note = "" if way is fwm or way in running else f"  ended after {r['steps']} steps"
        note += f"  AdamW {r['adamw']}" if r["adamw"] in ("fused", "foreach") else ""
        note += f"  {len(r['openmp'])} OpenMP runtimes" if r["openmp"] and len(r["openmp"]) > 1 else ""
        print(f"  {r['way']:38} {r['ms']:8.1f} {r['least']:8.1f} {r['most']:8.1f} {r['peak_mb']:8.0f} {r['own_mb']:8.0f} "
              f"{r['start_s']:8.2f}{note}")
    if result:
        print(f"  fwm is {result['ratio']:.2f} times faster than {result['best']} ({result['least']:.2f} to {result['most']:.2f}; bar "
              f"{result['bar']}), at {result['gflops']:.0f} GFLOP/s; its peak memory is {result['memory_of_best']:.2f} of that way's, "
              f"{result['memory']:.2f} of the lightest's ({result['lightest']}; bar 0.5)")
    sys.stdout.flush()


def parse():
    build = pathlib.Path(os.environ.get("FWM_BUILD", "build"))
    parser = argparse.ArgumentParser(description="fwm's reference steps S and M against PyTorch's and JAX's")
    parser.add_argument("--python", action="append", help="an interpreter with torch or jax (repeatable; default: BENCH_PYTHON)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", default="sm")
    parser.add_argument("--program", type=pathlib.Path, default=build / "tests/bench/program_reference")
    parser.add_argument("--patience", type=float, default=150, help="seconds that a way may take to its first step (default 150)")
    parser.add_argument("--all", action="store_true", help="keep slow ways in the rounds")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    a = parser.parse_args()
    a.python = a.python or os.environ.get("BENCH_PYTHON", "/usr/bin/python3").split()
    return a


def main():
    arguments = parse()
    if arguments.worker:
        return work(arguments.worker, arguments.models, arguments.threads)
    peers = list(ways_of(arguments))
    if not peers:
        print("no peer to compare with: set BENCH_PYTHON to interpreters with torch or jax", file=sys.stderr)
        return 0
    arguments.weights, report = {}, []
    for model in arguments.models:
        arguments.weights[model] = folder() / f"fwm-reference-{os.getpid()}-{model}.safetensors"
        subprocess.run([arguments.program, "init", model, arguments.weights[model]], check=True)
        try:
            fwm, ways, running = measure(arguments, peers, model)
        finally:
            arguments.weights[model].unlink()
        result = summary(model, fwm, running)
        report.append({"summary": result, "rows": [w.row() for w in [fwm, *ways]]})
        if not arguments.json:
            show(model, fwm, ways, running, result)
    if arguments.json:
        print(json.dumps({"threads": arguments.threads, "rounds": arguments.rounds, "models": report}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
