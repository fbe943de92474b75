"""Our optimal transport against POT on random problems: divergences, relaxed marginals, gradients, exact costs and prices."""

import json
import os
import pathlib
import subprocess
import sys

try:
    import numpy as np
    import ot
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

PROGRAM = pathlib.Path(os.environ["FWM_BUILD"]) / "tests/model/program_transport"


def solve(x, y, a, b, eps, rho):
    problem = {"x": x.ravel().tolist(), "y": y.ravel().tolist(), "a": a.tolist(), "b": b.tolist(), "d": x.shape[1], "eps": eps,
               "rho": rho}
    run = subprocess.run([PROGRAM], input=json.dumps(problem), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return {name: np.array(value) for name, value in json.loads(run.stdout).items()}


def kl(p, q):
    return np.sum(p * np.log(np.where(p > 0, p, 1) / q)) - p.sum() + q.sum()


def plan_and_value(x, y, a, b, eps, rho):
    """POT's plan, and from it the value with entropy relative to a b^T (POT's relaxed solver has it without: shifted costs)."""
    cost = ot.dist(x, y) / 2
    if rho:
        shifted = cost - eps * np.log(np.outer(a, b))
        plan = ot.unbalanced.sinkhorn_unbalanced(a, b, shifted, eps, rho, method="sinkhorn", reg_type="entropy",
                                                 numItermax=20000, stopThr=1e-13)
    else:
        plan = ot.bregman.sinkhorn_log(a, b, cost, eps, numItermax=20000, stopThr=1e-12)
    value = np.sum(plan * cost) + eps * kl(plan, np.outer(a, b))
    if rho:
        value += rho * (kl(plan.sum(1), a) + kl(plan.sum(0), b))
    return plan, value


def check(name, found, expected, tolerance):
    error = np.max(np.abs(found - expected)) / max(1e-3, np.max(np.abs(expected)))
    assert error <= tolerance, f"{name}: {found} against {expected}, relative {error:.3g}"
    return error


def check_problem(random, m, n, d, eps, rho):
    x, y = random.normal(size=(m, d)), random.normal(size=(n, d)) * 0.7 + 0.5
    a, b = random.uniform(0.2, 1, m), random.uniform(0.2, 1, n)
    a, b = a / a.sum(), b / b.sum()
    ours = solve(x, y, a, b, eps, rho)
    plan, value = plan_and_value(x, y, a, b, eps, rho)
    plan_x, value_x = plan_and_value(x, x, a, a, eps, rho)
    plan_y, value_y = plan_and_value(y, y, b, b, eps, rho)
    errors = [
        check("OT", ours["transport"], value, 1e-7),
        check("mass", ours["mass"], plan.sum(), 1e-7),
        check("divergence", ours["value"], value - value_x / 2 - value_y / 2, 1e-6),
    ]
    plan_x, plan_y = (plan_x + plan_x.T) / 2, (plan_y + plan_y.T) / 2
    grad_x = plan.sum(1)[:, None] * x - plan @ y - plan_x.sum(1)[:, None] * x + plan_x @ x
    grad_y = plan.sum(0)[:, None] * y - plan.T @ x - plan_y.sum(1)[:, None] * y + plan_y @ y
    errors += [check("dx", ours["dx"].reshape(m, d), grad_x, 1e-5), check("dy", ours["dy"].reshape(n, d), grad_y, 1e-5)]
    cost = ot.dist(x, y) / 2
    errors.append(check("exact", ours["exact"], ot.emd2(a, b, cost), 1e-10))
    slack = cost - ours["f"][:, None] - ours["g"][None, :]
    assert slack.min() >= -1e-9, f"prices are infeasible by {slack.min()}"
    errors.append(check("dual", a @ ours["f"] + b @ ours["g"], ours["exact"], 1e-9))
    errors.append(check("line W1", ours["w1"], ot.wasserstein_1d(x[:, 0], y[:, 0], a, b, p=1), 1e-10))
    errors.append(check("line W2", ours["w2"], ot.wasserstein_1d(x[:, 0], y[:, 0], a, b, p=2), 1e-10))
    return max(errors)


def check_reference():
    """A draw of numpy's whose exact cost for |x-y|^2 is known."""
    state = np.random.RandomState(0)
    x, y = state.randn(64, 3), state.randn(48, 3) + 0.5
    ours = solve(x, y, np.full(64, 1 / 64), np.full(48, 1 / 48), 0.5, 0)
    check("EMD", 2 * ours["exact"], 1.345049480122, 1e-10)


def main():
    random = np.random.default_rng(4)
    worst, problems = 0, 0
    for m, n, d in [(1, 5, 2), (12, 9, 1), (30, 41, 2), (64, 33, 7), (50, 70, 20)]:
        for eps, rho in [(1.0, 0), (0.2, 0), (0.5, 1.0), (0.3, 0.2)]:
            worst = max(worst, check_problem(random, m, n, d, eps, rho))
            problems += 1
    check_reference()
    print(f"{problems} problems, largest relative difference {worst:.2g}")


if __name__ == "__main__":
    main()
