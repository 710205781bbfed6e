"""A generative adversarial network, with an optimizer each, that learns eight Gaussians on a ring."""

import argparse
import json
import math
from pathlib import Path

import torch
from torch import nn


def real_points(count):
    angles = 2 * math.pi * torch.randint(8, (count,)) / 8
    return torch.stack([angles.cos(), angles.sin()], dim=1) + 0.05 * torch.randn(count, 2)


def perceptron(inputs, outputs):
    return nn.Sequential(
        nn.Linear(inputs, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, outputs)
    )


def covered_modes(points):
    angles = 2 * math.pi * torch.arange(8) / 8
    distances = torch.cdist(points, torch.stack([angles.cos(), angles.sin()], dim=1))
    nearest, mode = distances.min(dim=1)
    near = mode[nearest < 0.2]
    return len(near.unique()), len(near) / len(points)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps-per-epoch", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    generator, discriminator = perceptron(8, 2), perceptron(2, 1)
    opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    opt_d = torch.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    bce = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(args.batch_size, 1), torch.zeros(args.batch_size, 1)

    history = []
    for epoch in range(1, args.epochs + 1):
        for _ in range(args.steps_per_epoch):
            fake = generator(torch.randn(args.batch_size, 8))
            opt_d.zero_grad()
            loss_d = bce(discriminator(real_points(args.batch_size)), ones) + bce(discriminator(fake.detach()), zeros)
            loss_d.backward()
            opt_d.step()

            opt_g.zero_grad()
            loss_g = bce(discriminator(fake), ones)
            loss_g.backward()
            opt_g.step()

        with torch.no_grad():
            modes, share = covered_modes(generator(torch.randn(1000, 8)))
        history.append({"epoch": epoch, "modes": modes, "on_ring": share, "loss_g": loss_g.item()})
        print(f"epoch {epoch}: D {loss_d.item():.4f} G {loss_g.item():.4f} modes {modes} on ring {100 * share:.1f}%")

    if args.out is not None:
        args.out.write_text(json.dumps({"history": history, "final": history[-1]}))


if __name__ == "__main__":
    main()
