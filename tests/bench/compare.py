#!/usr/bin/env python3
"""The reference models S and M: fwm against PyTorch in numbers, from the same weights, data and noise.

    python3 tests/bench/compare.py [--steps 200] [--own64 N] [--models sm] [--batch 2] [--clip 4] [--program PATH]

Both run in float64 and in float32. Three things are held:

1. In float64 the first loss, every gradient, and the losses of N steps (default: all; fwm's float64 kernels are plain loops, and
   slow) agree to what roundings of 1.1e-16 can grow to: so both compute the same functions, and PyTorch's float64 curve is the
   truth for what follows.
2. In float32 the first gradient of every parameter is as near to the float64 one as PyTorch's is: FACTOR times its distance, in the
   norm, or the middle one of its distances where it was lucky.
3. In float32 the loss curve leaves the float64 one no further than FACTOR times what PyTorch's does: at each step against the
   largest distance PyTorch has had so far, plus the rounding of the loss itself.

Exit status 1 where one of them does not hold. Needs PyTorch and NumPy for this Python; nothing of fwm but the program."""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

import models

# Two honest float32 computations with different orders of summation are as far from the truth as luck has it, and the
# distance of one curve moves through zero: a factor that separates luck from a mistake, which is 1e3 and more.
FACTOR = 8.0
LR = 3e-4
BATCHES = 4
EPS32 = 2.0 ** -24


def make_data(model, batch, clip, steps):
    """Waves that move, so that there is something to learn; states that follow them; noise for every step."""
    random = np.random.default_rng(7)
    colors = models.COLORS if model == "s" else models.CHANNELS
    times = clip if model == "s" else 2
    axis = np.arange(models.SIDE) / models.SIDE * 2 * np.pi
    waves = random.integers(1, 5, (BATCHES, 1, batch, colors, 2, 1, 1))
    speed, phase = random.normal(size=(2, BATCHES, 1, batch, colors, 1, 1))
    t = np.arange(times).reshape(1, -1, 1, 1, 1, 1)
    x = np.sin(waves[..., 0, :, :] * axis[:, None] + waves[..., 1, :, :] * axis[None, :] + speed * t + phase)
    x = (x + 0.1 * random.normal(size=x.shape)).transpose(0, 1, 2, 4, 5, 3).astype(np.float32)  # [K,T,B,64,64,C]
    if model == "m":
        return {"x": x[:, 0].copy(), "y": x[:, 1].copy()}
    rows = times * batch
    y = np.repeat(x.reshape(BATCHES, rows, -1)[..., ::12], 1, axis=-1)[..., :models.STATE]
    noise = random.normal(size=(steps, rows, models.LATENT)).astype(np.float32)
    return {"x": x.reshape(BATCHES, rows, models.SIDE, models.SIDE, colors), "y": np.ascontiguousarray(y), "noise": noise}


def run_fwm(program, model, dtype, source, steps, clip):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.safetensors"
        subprocess.run([program, "train", model, dtype, source, out, str(steps), repr(LR), str(clip)], check=True)
        found = models.read_tensors(out)
    gradients = {n[len("gradients/"):]: a.astype(np.float64) for n, a in found.items() if n.startswith("gradients/")}
    return found["losses"], gradients


def run_torch(torch, model, dtype, weights, data, steps, clip):
    module = models.torch_models(torch)[model]().to(getattr(torch, dtype))
    models.load_torch(torch, module, model, weights)
    optimizer = torch.optim.AdamW(module.parameters(), lr=LR, **models.ADAMW)
    losses, gradients = [], None
    for k in range(steps):
        batch = [torch.from_numpy(data[name][k % len(data[name])]).to(getattr(torch, dtype)) for name in data]
        batch[0] = batch[0].permute(0, 3, 1, 2).contiguous()
        if model == "m":
            batch[1] = batch[1].permute(0, 3, 1, 2).contiguous()
        else:
            batch[2] = batch[2].view(clip, -1, models.LATENT)
        optimizer.zero_grad()
        loss = module(*batch)
        loss.backward()
        if k == 0:
            gradients = models.torch_gradients(module, model, {n: a.shape for n, a in weights.items()})
        optimizer.step()
        losses.append(float(loss))
    return np.array(losses), gradients


def relative(a, b):
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-300))


class Judge:
    def __init__(self):
        self.failed = 0

    def hold(self, what, value, limit):
        good = bool(value <= limit)
        self.failed += not good
        print(f"  {'holds' if good else 'FAILS'}  {what}: {value:.3g}, at most {limit:.3g}", flush=True)


def judge_gradients(judge, truth, ours, theirs):
    usual = float(np.median([relative(theirs[n], truth[n]) for n in truth]))
    worst, name = max((relative(ours[n], truth[n]) / max(relative(theirs[n], truth[n]), usual), n) for n in truth)
    print(f"         float32 gradients: fwm {max(relative(ours[n], truth[n]) for n in truth):.2e} from float64 at most, "
          f"PyTorch {max(relative(theirs[n], truth[n]) for n in truth):.2e}")
    judge.hold(f"float32 gradient's distance over PyTorch's, worst of {len(truth)} parameters ({name})", worst, FACTOR)


def compare(judge, torch, a, model):
    batch, clip, steps, program = a.batch, a.clip, a.steps, a.program
    own64 = min(a.own64 or steps, steps)
    print(f"{model.upper()}: batch {batch}{f', clip {clip}' if model == 's' else ''}, {steps} steps, PyTorch {torch.__version__}")
    data = make_data(model, batch, clip, steps)
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "in.safetensors"
        subprocess.run([program, "init", model, source], check=True)
        tensors = models.read_tensors(source)
        weights = {name[len("weights/"):]: array for name, array in tensors.items()}
        models.write_tensors(source, {**tensors, **data})
        fwm = {d: run_fwm(program, model, d, source, n, clip) for d, n in (("f64", own64), ("f32", steps))}
    peer = {d: run_torch(torch, model, d, weights, data, steps, clip) for d in ("float64", "float32")}
    truth, gradients = peer["float64"]
    judge.hold("float64 first loss, relative", abs(fwm["f64"][0][0] / truth[0] - 1), 1e-12)
    judge.hold("float64 gradients, relative, worst parameter",
               max(relative(fwm["f64"][1][n], gradients[n]) for n in gradients), 1e-10)
    judge_gradients(judge, gradients, fwm["f32"][1], peer["float32"][1])
    apart = np.abs(fwm["f64"][0] - truth[:own64]) / truth[:own64]
    ours, theirs = np.abs(fwm["f32"][0] - truth) / truth, np.abs(peer["float32"][0] - truth) / truth
    # The same growth of roundings takes float64 a factor of 2^-29 less far.
    envelope = np.maximum.accumulate(theirs) + 4 * EPS32
    judge.hold(f"float64 curves apart over {own64} steps, over float32's growth times 2^-29",
               float((apart / (envelope[:own64] * 2.0 ** -29)).max()), FACTOR)
    judge.hold("float32 curve's distance over PyTorch's so far, worst step", float((ours / envelope).max()), FACTOR)
    print(f"         loss {truth[0]:.4f} -> {truth[-1]:.4f}; from float64 at most: fwm {ours.max():.2e}, PyTorch {theirs.max():.2e}; "
          f"float64 apart at most {apart.max():.2e}", flush=True)
    return {"truth": truth, "fwm64": fwm["f64"][0], "fwm32": fwm["f32"][0], "torch32": peer["float32"][0]}


def main():
    build = pathlib.Path(os.environ.get("FWM_BUILD", "build"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--own64", type=int, default=0, help="steps of fwm in float64 (default: as many as --steps)")
    parser.add_argument("--models", default="sm")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--clip", type=int, default=4, help="frames of S's clips")
    parser.add_argument("--program", default=build / "tests/bench/program_reference")
    parser.add_argument("--save", help="write the curves to FILE.npz")
    a = parser.parse_args()
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as fwm sets it: threads that spin on a busy machine only take turns
    import torch
    torch.set_flush_denormal(True)
    judge, curves = Judge(), {}
    for model in a.models:
        found = compare(judge, torch, a, model)
        curves.update({f"{model}_{name}": curve for name, curve in found.items()})
    if a.save:
        np.savez(a.save, **curves)
    print(f"{judge.failed} failed")
    return 1 if judge.failed else 0


if __name__ == "__main__":
    sys.exit(main())
