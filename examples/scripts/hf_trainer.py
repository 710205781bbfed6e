"""A tiny transformer, from random weights, that learns whether a sequence holds more A than B, with Hugging Face."""

import argparse
import tempfile

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed


class MoreAThanB(Dataset):
    def __init__(self, size, length, seed):
        rng = np.random.default_rng(seed)
        self.tokens = rng.integers(2, 16, size=(size, length))
        a, b = (self.tokens == 2).sum(1), (self.tokens == 3).sum(1)
        self.labels = (a > b).astype(int)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return {"input_ids": torch.tensor(self.tokens[index]), "labels": int(self.labels[index])}


def compute_metrics(prediction):
    return {"accuracy": (prediction.predictions.argmax(-1) == prediction.label_ids).mean().item()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--train-size", type=int, default=1024)
    parser.add_argument("--lr", type=float, default=2e-3)
    args = parser.parse_args()

    set_seed(args.seed)
    config = BertConfig(
        vocab_size=16,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=32,
        num_labels=2,
    )
    model = BertForSequenceClassification(config)
    with tempfile.TemporaryDirectory() as output_dir:
        training_args = TrainingArguments(
            output_dir=output_dir,
            num_train_epochs=args.epochs,
            per_device_train_batch_size=args.batch_size,
            per_device_eval_batch_size=256,
            learning_rate=args.lr,
            warmup_steps=10,
            seed=args.seed,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_steps=20,
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=model,
            args=training_args,
            train_dataset=MoreAThanB(args.train_size, 16, seed=1),
            eval_dataset=MoreAThanB(512, 16, seed=2),
            compute_metrics=compute_metrics,
        )
        trainer.train()
        metrics = trainer.evaluate()
    print(f"accuracy={100 * metrics['eval_accuracy']:.2f}")


if __name__ == "__main__":
    main()
