"""A run that keeps in memory what a training gives it."""

from lastbit.noise import Scale


class RecordedRun:
    def __init__(self, *, seed=1, k=1, noise=None, seeds=None):
        self.seed, self.noise, self.seeds = seed, noise or Scale(k), seeds or {}
        self.rows, self.weights, self.diverged_at = [], {}, None
        self.predictions, self.targets = None, None

    def log(self, step, **metrics):
        self.rows.append({"step": step, **metrics})

    def snapshot(self, step, weights):
        self.weights[step] = {name: weight.detach().clone() for name, weight in weights.items()}

    def log_predictions(self, labels, targets):
        self.predictions, self.targets = labels.clone(), targets.clone()

    def mark_diverged(self, step):
        self.diverged_at = step

    def save_checkpoint(self, step, state):
        pass

    def load_checkpoint(self):
        return None
