#!/usr/bin/env python3
"""The same work by PyTorch and POT, beside `fwm bench`, in the same minutes.

    python3 tests/bench/peers.py [--fwm build/fwm] [--rounds 5] [--seconds 4] [--threads N] [--json] [NAME]...

Never needed to build or to test. What is not installed is said, and left out. A round is one `fwm bench --json` of all
names, then the samples of every peer; a value is the median over the rounds, a ratio the median of the rounds' own ratios,
so that a drift of the machine's speed cancels. Ratios are fwm's advantage: 2 means that fwm is twice as fast.

Each peer is tried in the ways that its users would try (memory formats, fused or not, in place); the best counts.
"""

import argparse
import importlib
import json
import math
import os
import statistics
import subprocess
import sys
import time

SAMPLE = 0.01  # seconds of a sample, at least: as fwm bench has it
SAMPLES = 3  # of a round, of which the median counts: as many as fwm bench takes at least
POT_STEPS = 20


def load(name):
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        print(f"{name}: not here ({error}); its rows are left out", file=sys.stderr)
        return None


def seconds_of(work):
    """Seconds of one call: as many calls as fill a sample."""
    count, spent = 0, 0.0
    start = time.perf_counter()
    while spent < SAMPLE:
        work()
        count += 1
        spent = time.perf_counter() - start
    return spent / count


class Peer:
    """One way of doing the work of one benchmark. value(): in the benchmark's unit."""

    def __init__(self, name, way, work, flop=None, count=1):
        self.name, self.way, self.work, self.flop, self.count = name, way, work, flop, count  # count: parts of one work()
        self.values = []
        work()
        work()

    def sample(self):
        seconds = statistics.median(seconds_of(self.work) for _ in range(SAMPLES))
        self.values.append(1e-9 * self.flop / seconds if self.flop else 1e3 * seconds / self.count)


# ---- PyTorch ----------------------------------------------------------------------------------------------------------


def torch_adamw(torch):
    for way in ({}, {"foreach": True}, {"fused": True}):
        p = torch.nn.Parameter(torch.randn(8100000))
        p.grad = torch.randn(8100000)
        try:
            optimizer = torch.optim.AdamW([p], lr=1e-4, weight_decay=0.01, **way)

            def work(optimizer=optimizer, p=p):
                torch.nn.utils.clip_grad_norm_([p], 1.0)
                optimizer.step()

            yield Peer("adamw", "torch " + (next(iter(way), "plain")), work)
        except (RuntimeError, TypeError, ValueError):
            continue  # this version has it not


def softmin(torch, eps, cost, potential):
    """-eps log sum_j exp((h_j - C_ij) / eps) with uniform weights."""
    return -eps * torch.logsumexp(potential[None, :] / eps - math.log(cost.shape[1]) - cost / eps, dim=1)


def half_square(torch, x, y):
    return 0.5 * ((x * x).sum(1)[:, None] + (y * y).sum(1)[None, :]) - x @ y.T


def divergence(torch, x, y, blur, scaling):
    """Debiased Sinkhorn divergence, symmetric annealing, gradient by the envelope theorem (Feydy et al. 2019)."""
    with torch.no_grad():
        xy, xx, yy = half_square(torch, x, y), half_square(torch, x, x), half_square(torch, y, y)
        yx = xy.T
        both = torch.cat([x, y])
        scale = max(float((both.max(0).values - both.min(0).values).norm()), blur)
        zero_x, zero_y = torch.zeros(len(x)), torch.zeros(len(y))
        first = scale * scale
        f, g = softmin(torch, first, xy, zero_y), softmin(torch, first, yx, zero_x)
        p, q = softmin(torch, first, xx, zero_x), softmin(torch, first, yy, zero_y)
        steps = []
        while scale > blur:
            steps.append(scale)
            scale *= scaling
        for s in steps + [blur]:
            eps = s * s
            f, g = 0.5 * (f + softmin(torch, eps, xy, g)), 0.5 * (g + softmin(torch, eps, yx, f))
            p, q = 0.5 * (p + softmin(torch, eps, xx, p)), 0.5 * (q + softmin(torch, eps, yy, q))
    eps = blur * blur
    xd, yd = x.detach(), y.detach()
    last_f, last_g = softmin(torch, eps, half_square(torch, x, yd), g), softmin(torch, eps, half_square(torch, y, xd), f)
    last_p, last_q = softmin(torch, eps, half_square(torch, x, xd), p), softmin(torch, eps, half_square(torch, y, yd), q)
    return (last_f - last_p).mean() + (last_g - last_q).mean()


def torch_sinkhorn(torch):
    for n, d in ((256, 64), (1024, 64)):
        x = torch.randn(n, d, requires_grad=True)
        y = (torch.randn(n, d) + 0.5).requires_grad_()

        def work(x=x, y=y, d=d):
            x.grad = y.grad = None
            divergence(torch, x, y, 0.05 * math.sqrt(2 * d), 0.5).backward()

        yield Peer(f"sinkhorn_{n}_{d}", "torch", work)


def torch_gemm(torch):
    shapes = (("gemm_512", 512, 512, 512, "nn"), ("gemm_2048", 2048, 2048, 2048, "nn"),
              ("gemm_16_512_512_nt", 16, 512, 512, "nt"), ("gemm_128_1024_512_nt", 128, 1024, 512, "nt"),
              ("gemm_1536_512_16_tn", 1536, 512, 16, "tn"), ("gemm_1_512_512_nt", 1, 512, 512, "nt"))
    for name, m, n, k, form in shapes:
        a = torch.randn(k, m).T if form[0] == "t" else torch.randn(m, k)
        b = torch.randn(n, k).T if form[1] == "t" else torch.randn(k, n)
        c = torch.empty(m, n)
        yield Peer(name, "torch", lambda a=a, b=b, c=c: torch.mm(a, b, out=c), flop=2.0 * m * n * k)


def torch_conv(torch):
    shapes = ((3, 32, 4, 2, 64), (32, 64, 4, 2, 32), (64, 64, 3, 1, 32), (128, 128, 3, 1, 16), (64, 4, 3, 1, 64))
    for ci, co, k, stride, edge in shapes:
        small = f"s{stride}" if stride > 1 else ""
        name, pad, out = f"conv_{ci}_{co}_k{k}{small}_{edge}", (k - 1) // 2, edge // stride
        flop = 2.0 * 16 * out * out * co * k * k * ci
        for layout in ("contiguous_format", "channels_last"):
            memory = getattr(torch, layout)
            x = torch.randn(16, ci, edge, edge).contiguous(memory_format=memory)
            w = torch.randn(co, ci, k, k).contiguous(memory_format=memory)
            dy = torch.randn(16, co, out, out).contiguous(memory_format=memory)

            def back(mask, x=x, w=w, dy=dy, stride=stride, pad=pad):
                return torch.ops.aten.convolution_backward(dy, x, w, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1,
                                                           mask)

            def forward(x=x, w=w, stride=stride, pad=pad):
                return torch.nn.functional.conv2d(x, w, stride=stride, padding=pad)

            yield Peer(name + "_forward", "torch " + layout, forward, flop)
            yield Peer(name + "_data", "torch " + layout, lambda back=back: back([True, False, False]), flop)
            yield Peer(name + "_weights", "torch " + layout, lambda back=back: back([False, True, False]), flop)


def torch_peers(torch, threads):
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    for make in (torch_adamw, torch_sinkhorn, torch_gemm, torch_conv):
        yield from make(torch)


# ---- POT --------------------------------------------------------------------------------------------------------------


def pot_peers(ot, numpy):
    """The three solves of a debiased divergence, ten log-domain iterations each as fwm's schedule has them; no gradient."""
    random = numpy.random.RandomState(0)
    for n, d in ((256, 64), (1024, 64)):
        x = random.randn(n, d).astype(numpy.float32)
        y = (random.randn(n, d) + 0.5).astype(numpy.float32)
        weights = numpy.full(n, 1 / n, dtype=numpy.float32)
        eps = (0.05 * math.sqrt(2 * d))**2

        def work(x=x, y=y, weights=weights, eps=eps):
            for a, b in ((x, y), (x, x), (y, y)):
                cost = (0.5 * ot.dist(a, b)).astype(numpy.float32)
                ot.sinkhorn(weights, weights, cost, eps, method="sinkhorn_log", numItermax=10, stopThr=0, warn=False)

        yield Peer(f"sinkhorn_{n}_{d}", "POT log, value only", work)
    costs = [(0.5 * ot.dist(a, b)).astype(numpy.float32) for a, b in ((x, y), (x, x), (y, y))]  # of the larger clouds

    def iterate():
        for cost in costs:
            ot.sinkhorn(weights, weights, cost, eps, method="sinkhorn_log", numItermax=POT_STEPS, stopThr=0, warn=False)

    yield Peer(f"sinkhorn_step_{n}_{d}", "POT log", iterate, count=POT_STEPS)


# ---- both -------------------------------------------------------------------------------------------------------------


def run_fwm(arguments, names):
    command = [arguments.fwm, "bench", *names, "--json", "--quiet", "--seconds", str(arguments.seconds)]
    if arguments.threads:
        command += ["--threads", str(arguments.threads)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def parse():
    parser = argparse.ArgumentParser(description="the same work by PyTorch and POT, beside fwm bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks (default: all that a peer has)")
    parser.add_argument("--fwm", default="build/fwm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="of fwm bench in one round (default 4)")
    parser.add_argument("--threads", type=int, default=0, help="default: all")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser.parse_args()


def rows_of(peers, fwm):
    for name in dict.fromkeys(peer.name for peer in peers):
        own = fwm[name]["values"]
        unit = fwm[name]["unit"]
        rate = unit.endswith("/s")
        group = [peer for peer in peers if peer.name == name]
        for library in dict.fromkeys(peer.way.split()[0] for peer in group):
            ways = [peer for peer in group if peer.way.split()[0] == library]
            best = (max if rate else min)(ways, key=lambda peer: statistics.median(peer.values))
            ratios = [a / b if rate else b / a for a, b in zip(own, best.values)]
            yield {"name": name, "unit": unit, "fwm": statistics.median(own), "peer": best.way,
                   "value": statistics.median(best.values), "ratio": statistics.median(ratios), "least": min(ratios),
                   "most": max(ratios)}


def main():
    arguments = parse()
    threads = arguments.threads or len(os.sched_getaffinity(0))
    torch, numpy, ot = load("torch"), load("numpy"), load("ot")
    makers = []
    if torch:
        makers.append(torch_peers(torch, threads))
    if ot and numpy:
        makers.append(pot_peers(ot, numpy))
    peers = [peer for maker in makers for peer in maker if not arguments.names or peer.name in arguments.names]
    if not peers:
        print("no peer to compare with: install torch (and numpy, POT) for this Python", file=sys.stderr)
        return 0
    names = list(dict.fromkeys(peer.name for peer in peers))
    fwm = {}
    for _ in range(arguments.rounds):
        for result in run_fwm(arguments, names)["results"]:
            fwm.setdefault(result["name"], {"unit": result["unit"], "values": []})["values"].append(result["value"])
        for peer in peers:
            peer.sample()
    rows = list(rows_of(peers, fwm))
    versions = {module.__name__: module.__version__ for module in (torch, ot) if module}
    if arguments.json:
        print(json.dumps({"threads": threads, "rounds": arguments.rounds, "versions": versions, "rows": rows}))
        return 0
    print(f"{threads} threads, {arguments.rounds} rounds, " + ", ".join(f"{k} {v}" for k, v in versions.items()))
    print(f"{'name':28} {'fwm':>9} {'peer':>9} {'unit':8} {'ratio':>6} {'least':>6} {'most':>6}  way")
    for r in rows:
        print(f"{r['name']:28} {r['fwm']:9.3g} {r['value']:9.3g} {r['unit']:8} {r['ratio']:6.2f} {r['least']:6.2f} "
              f"{r['most']:6.2f}  {r['peer']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
