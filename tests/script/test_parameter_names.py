import torch
from torch import nn

from lastbit.script.snapshots import parameter_names, parameters_of


class Wrapper(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module


def test_names_are_those_of_the_innermost_module_that_holds_them_all():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    wrapper = Wrapper(Wrapper(model))
    names = parameter_names(list(model.parameters()))
    assert names == [name for name, _ in model.named_parameters()]
    assert [name for name, _ in wrapper.named_parameters()] != names


def test_groups_follow_each_other():
    model = nn.ModuleDict({"body": nn.Linear(2, 3), "head": nn.Linear(3, 1)})
    optimizer = torch.optim.SGD([{"params": model["head"].parameters()}, {"params": model["body"].weight}], lr=0.1)
    assert parameter_names(parameters_of(optimizer)) == ["head.weight", "head.bias", "body.weight"]


def test_two_modules_in_one_optimizer_are_told_apart():
    encoder, decoder = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))
    names = parameter_names([*decoder.parameters(), *encoder.parameters()])
    assert names == ["weight (2)", "bias (2)", "0.weight", "0.bias", "1.weight", "1.bias"]


def test_parameters_of_no_module_are_counted():
    loose = [torch.zeros(2, requires_grad=True) for _ in range(2)]
    assert parameter_names(loose) == ["parameter 0", "parameter 1"]
