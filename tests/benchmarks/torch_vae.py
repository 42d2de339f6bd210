"""The peers' VAE in PyTorch, written as its users write it: modules, a loader's batches, one optimiser step after the
other. Eager and compiled."""

import math

import torch
from torch import nn
from torch.nn import functional as F


class VAE(nn.Module):
    """`layers` holds the start: lists of (weights (in, out), bias (out,)) for encoder and decoder."""

    def __init__(self, layers, unit=nn.SiLU):
        super().__init__()
        *hidden, mean, log_scale = map(_linear, layers["encoder"])
        self.encoder = _with_units(hidden, unit)
        self.mean, self.log_scale = mean, log_scale
        *hidden, out = map(_linear, layers["decoder"])
        self.decoder = nn.Sequential(_with_units(hidden, unit), out)

    def bound(self, x, num_samples, iwae):
        h = self.encoder(x)
        mean, log_scale = self.mean(h), self.log_scale(h)
        eps = torch.randn(num_samples, *mean.shape)
        z = mean + torch.exp(log_scale) * eps
        log_w = -F.binary_cross_entropy_with_logits(self.decoder(z), x.expand(num_samples, *x.shape), reduction="none")
        log_w = log_w.sum(-1) + (0.5 * eps**2 + log_scale - 0.5 * z**2).sum(-1)
        return (torch.logsumexp(log_w, 0) - math.log(num_samples)).mean() if iwae else log_w.mean()


def _linear(layer):
    weights, bias = layer
    linear = nn.Linear(*weights.shape)
    linear.weight.data, linear.bias.data = torch.tensor(weights).T.contiguous(), torch.tensor(bias)
    return linear


def _with_units(layers, unit):
    return nn.Sequential(*(module for layer in layers for module in (layer, unit())))


def fit(
    xs, layers, batch_size, num_samples, num_steps, *,
    iwae=False, compiled=False, seed=0, unit=nn.SiLU, rates=None, binarise=False,
):  # fmt: skip
    """Returns the model and the bounds of its training steps, nats per example. `rates` are those of each step."""
    torch.manual_seed(seed)
    model = VAE(layers, unit)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    bound = torch.compile(model.bound) if compiled else model.bound
    history, order, place = [], torch.randperm(len(xs)), 0
    for step in range(num_steps):
        if rates is not None:
            optimizer.param_groups[0]["lr"] = rates[step]
        if place + batch_size > len(xs):
            order, place = torch.randperm(len(xs)), 0
        batch, place = xs[order[place : place + batch_size]], place + batch_size
        batch = torch.bernoulli(batch) if binarise else batch
        optimizer.zero_grad(set_to_none=True)
        loss = -bound(batch, num_samples, iwae)
        loss.backward()
        optimizer.step()
        history.append(-loss.detach())
    return model, torch.stack(history).numpy()


def ways(xs, layers, batch_size, num_samples, iwae):
    xs = torch.tensor(xs)

    def way(compiled):
        def run(num_steps):
            _, history = fit(xs, layers, batch_size, num_samples, num_steps, iwae=iwae, compiled=compiled)
            return float(history[-(-num_steps // 4) :].mean())

        return run

    return {"torch eager": way(False), "torch.compile": way(True)}
