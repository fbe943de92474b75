"""Fifty updates by fwm's rules and by torch.optim's, float64, from the same parameters and gradients, clipped by the norm on
both sides of the limit: AdamW, gradient descent with momentum and with Nesterov's. LaProp is not in torch.optim: its algorithm is
written out here in tensors. torch's sgd decays through the gradient, fwm's beside it: they are compared without decay.

    python3 tests/bench/optimizers.py build/tests/train/program_optimizer"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch

import models

N, STEPS, LR, CLIP = 1003, 50, 1e-2, 4.0
BETAS, EPS = (0.9, 0.99), 1e-8
# p is of size 3 and is rounded, with some ten roundings of its step, fifty times: 50 * (3 + 10 lr) * 1.1e-16, and no cancellation.
LIMIT = 1e-13


def torch_run(rule, decay, p, g):
    x = torch.nn.Parameter(torch.from_numpy(p.copy()))
    if rule == "laprop":
        return laprop(x.detach(), torch.from_numpy(g), decay)
    if rule == "adamw":
        optimizer = torch.optim.AdamW([x], lr=LR, betas=BETAS, eps=EPS, weight_decay=decay)
    else:
        optimizer = torch.optim.SGD([x], lr=LR, momentum=0.9, nesterov=rule == "nesterov")
    for row in g:
        x.grad = torch.from_numpy(row.copy())
        norm = float(x.grad.norm())
        if norm > CLIP:  # clip_grad_norm_ divides by norm + 1e-6: not the definition
            x.grad *= CLIP / norm
        optimizer.step()
    return x.detach().numpy()


def laprop(p, g, decay):
    m, v = torch.zeros_like(p), torch.zeros_like(p)
    for t, row in enumerate(g, 1):
        row = row * min(1.0, CLIP / float(row.norm()))
        v = BETAS[1] * v + (1 - BETAS[1]) * row ** 2
        m = BETAS[0] * m + (1 - BETAS[0]) * row / ((v / (1 - BETAS[1] ** t)).sqrt() + EPS)
        p = p * (1 - LR * decay) - LR * m / (1 - BETAS[0] ** t)
    return p.numpy()


def main():
    random = np.random.default_rng(3)
    p = random.normal(size=N)
    g = random.normal(size=(STEPS, N)) * np.where(np.arange(STEPS) % 2, 0.05, 0.3)[:, None]  # norms 1.6 and 9.5
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        source, out = pathlib.Path(folder) / "in", pathlib.Path(folder) / "out"
        models.write_tensors(source, {"p": p, "g": g})
        for rule, decay in (("adamw", 0.1), ("adamw", 0.0), ("laprop", 0.1), ("sgd", 0.0), ("nesterov", 0.0)):
            subprocess.run([sys.argv[1], source, out, rule, str(LR), str(decay), str(CLIP)], check=True)
            apart = np.abs(models.read_tensors(out)["p"] - torch_run(rule, decay, p, g)).max()
            moved = np.abs(models.read_tensors(out)["p"] - p).max()
            good = apart <= LIMIT and moved > 1e-3
            failed += not good
            print(f"  {'holds' if good else 'FAILS'}  {rule}, decay {decay}: {apart:.2e} apart after {STEPS} steps, at most {LIMIT:g} "
                  f"(moved by {moved:.2f})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
