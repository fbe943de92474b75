"""The reference models S and M (tools/bench/reference.h) in PyTorch and in JAX, and the way between fwm's weights and theirs.

fwm's tensors: linear [in,out], convolution [k,k,in,out], transposed convolution [k,k,out,in], GRU [in,3H] in the order z|r|n,
pictures channels-last. JAX takes them as they are; PyTorch's are permuted (TorchWeights). No other module of fwm is needed, and
of the libraries only the one that is asked for."""

import json

import numpy as np

BATCH, CLIP, SIDE, COLORS, CHANNELS, STATE, HIDDEN, FUSED, LATENT, GROUPS = 16, 8, 64, 3, 4, 1024, 512, 256, 32, 8
WIDTHS = (64, 128, 256, 256)
ADAMW = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}


# ---- safetensors, as far as it is needed here ---------------------------------------------------------------------------
TYPES = {"F32": np.float32, "F64": np.float64}


def read_tensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data[t["data_offsets"][0]:t["data_offsets"][1]], TYPES[t["dtype"]]).reshape(t["shape"])
            for name, t in header.items()}


def write_tensors(path, tensors):
    header, at = {}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": "F32" if array.dtype == np.float32 else "F64", "shape": list(array.shape),
                        "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array).tobytes())


# ---- PyTorch ------------------------------------------------------------------------------------------------------------
def torch_models(torch):
    nn, F = torch.nn, torch.nn.functional

    def block(cin, cout, kernel, stride):
        return nn.Sequential(nn.Conv2d(cin, cout, kernel, stride, 1, bias=False), nn.GroupNorm(GROUPS, cout), nn.SiLU())

    class S(nn.Module):
        def __init__(self):
            super().__init__()
            widths = [COLORS, 32, 64, 128, 256]
            self.encoder = nn.Sequential(*[block(widths[k], widths[k + 1], 4, 2) for k in range(4)])
            self.state0, self.state1 = nn.Linear(STATE, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
            self.fuse = nn.Linear(4096 + HIDDEN, FUSED)
            self.posterior0, self.posterior1 = nn.Linear(HIDDEN + FUSED, FUSED), nn.Linear(FUSED, 2 * LATENT)
            self.prior = nn.Linear(HIDDEN, 2 * LATENT)
            self.gru = nn.GRUCell(FUSED + LATENT, HIDDEN)
            self.change0, self.change1 = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
            self.change2 = nn.Linear(HIDDEN, STATE)
            self.linear = nn.Linear(HIDDEN + LATENT, 4096)
            self.up = nn.ModuleList(nn.ConvTranspose2d(cin, cout, 4, 2, 1, bias=False)
                                    for cin, cout in ((256, 128), (128, 64), (64, 32), (32, COLORS)))
            self.norm = nn.ModuleList(nn.GroupNorm(GROUPS, c) for c in (128, 64, 32))

        def decode(self, x):
            y = self.linear(x).view(-1, 256, 4, 4)
            for up, norm in zip(self.up, self.norm):
                y = F.silu(norm(up(y)))
            return self.up[3](y)

        def forward(self, frames, states, noise):
            """frames [T*B,3,64,64], states [T*B,1024], noise [T,B,32]: the loss."""
            clip, batch = noise.shape[0], noise.shape[1]
            known = F.silu(self.state1(F.silu(self.state0(states))))
            e = self.fuse(torch.cat([self.encoder(frames).flatten(1), known], 1))
            h = torch.zeros(batch, HIDDEN, dtype=frames.dtype)
            seen, qs, nexts = [], [], []
            for t in range(clip):
                et = e[t * batch:(t + 1) * batch]
                q = self.posterior1(F.silu(self.posterior0(torch.cat([h, et], 1))))
                mean, log_std = q.chunk(2, 1)
                z = mean + log_std.exp() * noise[t]
                seen.append(torch.cat([h, z], 1))
                qs.append(q)
                if t + 1 < clip:  # nothing reads the last one
                    h = self.gru(torch.cat([et, z], 1), h)
                    nexts.append(h)
            seen, q = torch.cat(seen), torch.cat(qs)
            p = self.prior(seen[:, :HIDDEN])
            n = (clip - 1) * batch
            change = self.change2(F.silu(self.change1(F.silu(self.change0(torch.cat(nexts))))))
            loss = F.mse_loss(states[:n] + change, states[batch:]) + F.mse_loss(self.decode(seen), frames)
            (mq, sq), (mp, sp) = q.chunk(2, 1), p.chunk(2, 1)
            kl = (2 * (sq - sp)).exp() + ((mq - mp) * (-sp).exp()) ** 2 - 2 * (sq - sp) - 1
            return loss + 0.01 * 0.5 * kl.sum() / (batch * clip)

    class M(nn.Module):
        def __init__(self):
            super().__init__()
            w = WIDTHS
            self.down = nn.ModuleList(self.level(CHANNELS if k == 0 else w[k - 1], w[k]) for k in range(4))
            self.up = nn.ModuleList(self.level(w[k + 1] + w[k], w[k]) for k in range(3))
            self.out = nn.Conv2d(w[0], CHANNELS, 3, 1, 1)

        @staticmethod
        def level(cin, cout):
            return nn.Sequential(block(cin, cout, 3, 1), block(cout, cout, 3, 1))

        def forward(self, x, target):
            skips, y = [], x
            for k, down in enumerate(self.down):
                y = down(F.avg_pool2d(y, 2) if k else y)
                skips.append(y)
            for k in (2, 1, 0):
                y = self.up[k](torch.cat([F.interpolate(y, scale_factor=2.0, mode="nearest"), skips[k]], 1))
            return F.mse_loss(self.out(y), target)

    return {"s": S, "m": M}


def torch_map(model):
    """PyTorch's parameter name -> (fwm's name, function that puts fwm's array into PyTorch's order)."""

    def conv(a):
        return a.transpose(3, 2, 0, 1)

    def gates(a):
        z, r, n = np.split(a, 3, axis=-1)
        return np.concatenate([r, z, n], axis=-1).T

    def channels_first_rows(a):
        picture = a[:4096].reshape(4, 4, 256, -1).transpose(2, 0, 1, 3).reshape(4096, -1)
        return np.concatenate([picture, a[4096:]]).T

    def channels_first_columns(a):
        return a.reshape(-1, 4, 4, 256).transpose(3, 1, 2, 0).reshape(4096, -1)

    table = {}

    def norm(theirs, ours):
        table[theirs + ".weight"] = (ours + "/scale", np.copy)
        table[theirs + ".bias"] = (ours + "/shift", np.copy)

    if model == "m":
        for theirs, ours in [(f"down.{k}", f"down{k}") for k in range(4)] + [(f"up.{k}", f"up{k}") for k in range(3)]:
            for i, part in enumerate("ab"):
                table[f"{theirs}.{i}.0.weight"] = (f"{ours}/{part}/conv/weight", conv)
                norm(f"{theirs}.{i}.1", f"{ours}/{part}/norm")
        table["out.weight"] = ("out/weight", conv)
        table["out.bias"] = ("out/bias", np.copy)
        return table
    for k in range(4):
        table[f"encoder.{k}.0.weight"] = (f"conv{k}/conv/weight", conv)
        norm(f"encoder.{k}.1", f"conv{k}/norm")
        table[f"up.{k}.weight"] = (f"up{k}/weight", conv)
    for k in range(3):
        norm(f"norm.{k}", f"norm{k}")
    for name in ("state0", "state1", "posterior0", "posterior1", "prior", "change0", "change1", "change2", "fuse", "linear"):
        table[name + ".weight"] = (name + "/weight", np.transpose)
        table[name + ".bias"] = (name + "/bias", np.copy)
    table["fuse.weight"] = ("fuse/weight", channels_first_rows)
    table["linear.weight"] = ("linear/weight", channels_first_columns)
    table["linear.bias"] = ("linear/bias", lambda a: channels_first_columns(a)[:, 0])
    for theirs, ours in (("weight_ih", "input"), ("weight_hh", "recurrent"), ("bias_ih", "input_bias"),
                         ("bias_hh", "recurrent_bias")):
        table["gru." + theirs] = ("gru/" + ours, gates)
    return table


def load_torch(torch, module, model, weights):
    """Copies fwm's weights {name: array} into a module of torch_models."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            ours, order = torch_map(model)[name]
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(order(weights[ours]))))


def torch_gradients(module, model, shapes):
    """The module's gradients in fwm's names and order. shapes: {fwm's name: shape}."""
    result = {}
    for name, parameter in module.named_parameters():
        ours, order = torch_map(model)[name]
        place = order(np.arange(int(np.prod(shapes[ours]))).reshape(shapes[ours]))
        gradient = np.empty(place.size)
        gradient[place.ravel()] = parameter.grad.numpy().ravel()
        result[ours] = gradient.reshape(shapes[ours])
    return result


# ---- JAX ----------------------------------------------------------------------------------------------------------------
def jax_losses(jax):
    """{model: loss(weights by fwm's names, inputs)}, pictures channels-last."""
    jnp, lax, silu = jax.numpy, jax.lax, jax.nn.silu
    layout = ("NHWC", "HWIO", "NHWC")

    def linear(w, name, x):
        return x @ w[name + "/weight"] + w[name + "/bias"]

    def conv(x, kernel, stride):
        return lax.conv_general_dilated(x, kernel, (stride, stride), [(1, 1), (1, 1)], dimension_numbers=layout)

    def conv_up(w, name, x):
        kernel = jnp.flip(w[name + "/weight"], (0, 1)).swapaxes(2, 3)
        return lax.conv_general_dilated(x, kernel, (1, 1), [(2, 2), (2, 2)], lhs_dilation=(2, 2), dimension_numbers=layout)

    def norm_silu(w, name, x):
        b, height, width, c = x.shape
        groups = x.reshape(b, height * width, GROUPS, c // GROUPS)
        mean = groups.mean((1, 3), keepdims=True)
        variance = jnp.square(groups - mean).mean((1, 3), keepdims=True)
        normal = ((groups - mean) * lax.rsqrt(variance + 1e-5)).reshape(x.shape)
        return silu(normal * w[name + "/scale"] + w[name + "/shift"])

    def block(w, name, x, stride):
        return norm_silu(w, name + "/norm", conv(x, w[name + "/conv/weight"], stride))

    def gru(w, x, h):
        gx = x @ w["gru/input"] + w["gru/input_bias"]
        gh = h @ w["gru/recurrent"] + w["gru/recurrent_bias"]
        z, r = (jax.nn.sigmoid(gx[:, k * HIDDEN:(k + 1) * HIDDEN] + gh[:, k * HIDDEN:(k + 1) * HIDDEN]) for k in (0, 1))
        n = jnp.tanh(gx[:, 2 * HIDDEN:] + r * gh[:, 2 * HIDDEN:])
        return n + z * (h - n)

    def mean_square(a, b):
        return jnp.square(a - b).mean()

    def s(w, frames, states, noise):
        clip, batch = noise.shape[:2]
        y = frames
        for k in range(4):
            y = block(w, f"conv{k}", y, 2)
        known = silu(linear(w, "state1", silu(linear(w, "state0", states))))
        e = linear(w, "fuse", jnp.concatenate([y.reshape(len(y), -1), known], 1))
        h = jnp.zeros((batch, HIDDEN), frames.dtype)
        seen, qs, nexts = [], [], []
        for t in range(clip):
            et = e[t * batch:(t + 1) * batch]
            q = linear(w, "posterior1", silu(linear(w, "posterior0", jnp.concatenate([h, et], 1))))
            z = q[:, :LATENT] + jnp.exp(q[:, LATENT:]) * noise[t]
            seen.append(jnp.concatenate([h, z], 1))
            qs.append(q)
            h = gru(w, jnp.concatenate([et, z], 1), h)
            nexts.append(h)
        seen, q = jnp.concatenate(seen), jnp.concatenate(qs)
        p = linear(w, "prior", seen[:, :HIDDEN])
        n = (clip - 1) * batch
        change = linear(w, "change2", silu(linear(w, "change1", silu(linear(w, "change0", jnp.concatenate(nexts[:-1]))))))
        y = linear(w, "linear", seen).reshape(-1, 4, 4, 256)
        for k in range(3):
            y = norm_silu(w, f"norm{k}", conv_up(w, f"up{k}", y))
        loss = mean_square(states[:n] + change, states[batch:]) + mean_square(conv_up(w, "up3", y), frames)
        mq, sq, mp, sp = q[:, :LATENT], q[:, LATENT:], p[:, :LATENT], p[:, LATENT:]
        kl = jnp.exp(2 * (sq - sp)) + jnp.square((mq - mp) * jnp.exp(-sp)) - 2 * (sq - sp) - 1
        return loss + 0.01 * 0.5 * kl.sum() / (batch * clip)

    def halve(x):
        return 0.25 * (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2])

    def double(x):
        b, height, width, c = x.shape
        return jnp.broadcast_to(x[:, :, None, :, None], (b, height, 2, width, 2, c)).reshape(b, 2 * height, 2 * width, c)

    def m(w, x, target):
        skips, y = [], x
        for k in range(4):
            y = halve(y) if k else y
            y = block(w, f"down{k}/b", block(w, f"down{k}/a", y, 1), 1)
            skips.append(y)
        for k in (2, 1, 0):
            y = jnp.concatenate([double(y), skips[k]], 3)
            y = block(w, f"up{k}/b", block(w, f"up{k}/a", y, 1), 1)
        return mean_square(conv(y, w["out/weight"], 1) + w["out/bias"], target)

    return {"s": s, "m": m}
