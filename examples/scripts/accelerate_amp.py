"""A two-spiral classifier in bfloat16 mixed precision, with Accelerate."""

import argparse
import math

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def spirals(count, seed):
    generator = torch.Generator().manual_seed(seed)
    turns = torch.rand(count, generator=generator) * 2 + 0.25
    labels = torch.arange(count) % 2
    angles = 2 * math.pi * turns / 1.5 + labels * math.pi
    points = turns[:, None] * torch.stack([angles.cos(), angles.sin()], dim=1)
    return TensorDataset(points + 0.15 * torch.randn(points.shape, generator=generator), labels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-2)
    args = parser.parse_args()

    set_seed(args.seed)
    accelerator = Accelerator(mixed_precision="bf16", cpu=True)
    train_loader = DataLoader(spirals(2048, seed=1), batch_size=args.batch_size, shuffle=True)
    test_loader = DataLoader(spirals(1000, seed=2), batch_size=500)
    model = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=args.lr, epochs=args.epochs, steps_per_epoch=len(train_loader)
    )
    model, optimizer, train_loader, test_loader, scheduler = accelerator.prepare(
        model, optimizer, train_loader, test_loader, scheduler
    )

    for epoch in range(args.epochs):
        model.train()
        for inputs, labels in train_loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs), labels)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()

        model.eval()
        correct = total = 0
        for inputs, labels in test_loader:
            with torch.no_grad():
                predictions = model(inputs).argmax(dim=-1)
            predictions, labels = accelerator.gather_for_metrics((predictions, labels))
            correct += (predictions == labels).sum().item()
            total += len(labels)
        accelerator.print(f"epoch {epoch}: loss {loss.item():.4f}, test accuracy {100 * correct / total:.2f}")


if __name__ == "__main__":
    main()
