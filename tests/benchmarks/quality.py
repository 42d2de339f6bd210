"""Is the faster VAE as good? Ours and PyTorch's, the same network, start, steps and judge, five seeds each."""

import jax
import numpy as np
import optax
import torch
import torch_vae
from rows import layers_of

import vaejax as vj
from vaejax.book import data


def measure(num_steps=3000, num_seeds=5, batch_size=128, hidden=(500,), num_latents=20):
    """{way: (num_seeds,) bound on the test digits, nats per digit, by 20 draws each}, by vaejax for both."""
    digits, model = data.load("digits"), vj.vae.make_vae()
    bounds = {"vaejax": [], "torch": []}
    for seed in range(num_seeds):
        key = jax.random.key(seed)
        start = vj.vae.init(key, digits.train_xs.shape[1], num_latents, hidden=hidden)
        ours, _ = vj.maximize(
            model, start, digits.train_xs, key, optimizer=optax.adam(1e-3), num_steps=num_steps, batch_size=batch_size
        )
        xs = torch.tensor(digits.train_xs)
        theirs, _ = torch_vae.fit(xs, layers_of(start), batch_size, 1, num_steps, seed=seed)
        for way, params in {"vaejax": ours, "torch": with_weights(start, theirs)}.items():
            bounds[way].append(float(vj.mean_bound(model, params, digits.test_xs, jax.random.key(1), num_samples=20)))
    return {way: np.array(values) for way, values in bounds.items()}


def with_weights(params, model):
    """The same network as vaejax parameters, with the weights of the PyTorch model."""
    linear = [m for m in model.encoder if isinstance(m, torch.nn.Linear)] + [model.mean, model.log_scale]
    linear += [m for m in model.decoder.modules() if isinstance(m, torch.nn.Linear)]
    weights = iter(linear)
    params = jax.tree.map(lambda leaf: leaf, params)  # a copy
    e, d = params.encoder, params.decoder
    for layer in (*e.hidden, e.mean, e.log_scale, *d.hidden, d.out):
        theirs = next(weights)
        layer.kernel[...] = theirs.weight.detach().numpy().T
        layer.bias[...] = theirs.bias.detach().numpy()
    return params


def write():
    bounds = measure()
    ours, theirs = bounds["vaejax"], bounds["torch"]
    se = np.sqrt(ours.var(ddof=1) / len(ours) + theirs.var(ddof=1) / len(theirs))
    rows = "".join(f"| {way} | {b.mean():.2f} | {b.std(ddof=1):.2f} |\n" for way, b in bounds.items())
    return (
        "## VAE quality, 784-500-20-500-784, bundled digits, 3,000 steps, five seeds\n\n"
        "| way | mean test bound, nats | deviation over seeds |\n|---|---|---|\n" + rows + "\n"
        f"vaejax less torch: {ours.mean() - theirs.mean():.2f}, standard error {se:.2f}. "
        "Target: within two standard errors, or better.\n\n"
    )


if __name__ == "__main__":
    print(write())
