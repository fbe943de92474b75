"""The reference models S and M of `fwm bench step_s step_m` in PyTorch, one training step each.

    python3 tests/bench/reference.py [--threads 2] [--rounds 5] [--fwm build/fwm]

Prints median milliseconds a step for eager PyTorch with nchw and channels_last memory, and, with --fwm, the program's own
step measured in turn with them and the ratio to the best of PyTorch's. Needs torch; nothing needs this file."""
import argparse
import json
import os
import resource
import statistics
import subprocess
import time

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--fwm")
arguments = parser.parse_args()
os.environ.setdefault("OMP_NUM_THREADS", str(arguments.threads))
import torch  # noqa: E402  (after the number of threads is set)
import torch.nn as nn  # noqa: E402
import torch.nn.functional as F  # noqa: E402

torch.set_num_threads(arguments.threads)
torch.set_flush_denormal(True)
BATCH, CLIP, SIDE, STATE, HIDDEN, FUSED, LATENT = 16, 8, 64, 1024, 512, 256, 32


def block(cin, cout, kernel, stride):
    return nn.Sequential(nn.Conv2d(cin, cout, kernel, stride, 1, bias=False), nn.GroupNorm(8, cout), nn.SiLU())


class S(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [3, 32, 64, 128, 256]
        self.encoder = nn.Sequential(*[block(widths[k], widths[k + 1], 4, 2) for k in range(4)])
        self.state = nn.Sequential(nn.Linear(STATE, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU())
        self.fuse = nn.Linear(4096 + HIDDEN, FUSED)
        self.posterior = nn.Sequential(nn.Linear(HIDDEN + FUSED, FUSED), nn.SiLU(), nn.Linear(FUSED, 2 * LATENT))
        self.prior = nn.Linear(HIDDEN, 2 * LATENT)
        self.gru = nn.GRUCell(FUSED + LATENT, HIDDEN)
        self.change = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(),
                                    nn.Linear(HIDDEN, STATE))
        self.linear = nn.Linear(HIDDEN + LATENT, 4096)
        ups = []
        for cin, cout in [(256, 128), (128, 64), (64, 32)]:
            ups += [nn.ConvTranspose2d(cin, cout, 4, 2, 1, bias=False), nn.GroupNorm(8, cout), nn.SiLU()]
        self.up = nn.Sequential(*ups, nn.ConvTranspose2d(32, 3, 4, 2, 1, bias=False))

    def forward(self, frames, states):
        features = self.encoder(frames).flatten(1)
        e = self.fuse(torch.cat([features, self.state(states)], 1))
        h = torch.zeros(BATCH, HIDDEN)
        seen, qs, nexts = [], [], []
        for t in range(CLIP):
            et = e[t * BATCH:(t + 1) * BATCH]
            q = self.posterior(torch.cat([h, et], 1))
            mean, log_std = q.chunk(2, 1)
            z = mean + log_std.exp() * torch.randn(BATCH, LATENT)
            seen.append(torch.cat([h, z], 1))
            qs.append(q)
            h = self.gru(torch.cat([et, z], 1), h)
            nexts.append(h)
        seen, q = torch.cat(seen), torch.cat(qs)
        p = self.prior(seen[:, :HIDDEN])
        n = (CLIP - 1) * BATCH
        loss = F.mse_loss(states[:n] + self.change(torch.cat(nexts[:-1])), states[BATCH:])
        loss = loss + F.mse_loss(self.up(self.linear(seen).view(-1, 256, 4, 4)), frames)
        (mq, sq), (mp, sp) = q.chunk(2, 1), p.chunk(2, 1)
        kl = (2 * (sq - sp)).exp() + ((mq - mp) * (-sp).exp()) ** 2 - 2 * (sq - sp) - 1
        return loss + 0.01 * 0.5 * kl.sum() / (BATCH * CLIP)


class M(nn.Module):
    def __init__(self):
        super().__init__()
        w = [64, 128, 256, 256]
        self.down = nn.ModuleList(self.level(4 if k == 0 else w[k - 1], w[k]) for k in range(4))
        self.up = nn.ModuleList(self.level(w[k + 1] + w[k], w[k]) for k in range(3))
        self.out = nn.Conv2d(64, 4, 3, 1, 1)

    @staticmethod
    def level(cin, cout):
        return nn.Sequential(block(cin, cout, 3, 1), block(cout, cout, 3, 1))

    def forward(self, x, target):
        skips, y = [], x
        for k, down in enumerate(self.down):
            y = down(F.avg_pool2d(y, 2) if k else y)
            skips.append(y)
        for k in (2, 1, 0):
            y = self.up[k](torch.cat([F.interpolate(y, scale_factor=2, mode="nearest"), skips[k]], 1))
        return F.mse_loss(self.out(y), target)


def make(name, channels_last):
    torch.manual_seed(0)
    model = S() if name == "step_s" else M()
    if name == "step_s":
        inputs = [torch.randn(BATCH * CLIP, 3, SIDE, SIDE), torch.randn(BATCH * CLIP, STATE)]
    else:
        inputs = [torch.randn(BATCH, 4, SIDE, SIDE), torch.randn(BATCH, 4, SIDE, SIDE)]
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        inputs = [x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x for x in inputs]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-9, weight_decay=0.01, foreach=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        model(*inputs).backward()
        optimizer.step()

    step()
    return step, sum(p.numel() for p in model.parameters())


for name in ("step_s", "step_m"):
    variants = {"nchw": make(name, False), "channels_last": make(name, True)}
    times = {key: [] for key in variants}
    ours = []
    for _ in range(arguments.rounds):
        for key, (step, _count) in variants.items():
            start = time.perf_counter()
            step()
            times[key].append(1e3 * (time.perf_counter() - start))
        if arguments.fwm:
            out = subprocess.run([arguments.fwm, "bench", name, "--json", "--seconds", "4"], capture_output=True, check=True)
            ours.append(next(r["value"] for r in json.loads(out.stdout)["results"] if r["name"] == name))
    medians = {key: statistics.median(t) for key, t in times.items()}
    count = variants["nchw"][1]
    line = f"{name}  {count / 1e6:.2f} M parameters  torch {torch.__version__}: " + ", ".join(f"{k} {v:.0f} ms" for k, v in medians.items())
    if ours:
        mine = statistics.median(ours)
        line += f"; fwm {mine:.0f} ms, {min(medians.values()) / mine:.2f} times faster than the best"
    print(line, flush=True)
print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
