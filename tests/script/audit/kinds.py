"""Programs with tensors and transforms of kinds that an audit could stumble over; each prints what it computed."""
# ruff: noqa: E501 - lines of programs

KINDS = {
    "nested tensors, and the transformer's quick path": """
import torch
torch.manual_seed(0)
n = torch.nested.nested_tensor([torch.randn(2, 4), torch.randn(3, 4)])
print(torch.nn.functional.linear(n, torch.randn(5, 4)).to_padded_tensor(0.0).sum().item(), n.unbind()[1].shape, (n * 2).numel())

torch.manual_seed(0); net = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1).eval()
with torch.no_grad(): print(net(torch.randn(1, 4, 8), src_key_padding_mask=torch.tensor([[False, False, False, True]])).sum().item())
""",
    "jagged tensors": """
import torch
torch.manual_seed(0)
n = torch.nested.nested_tensor([torch.randn(2, 4), torch.randn(3, 4)], layout=torch.jagged, requires_grad=True)
out = torch.nn.functional.linear(n, torch.randn(5, 4)).relu()
out.values().sum().backward()
print(out.sum().item() if False else out.values().sum().item(), n.grad.values().sum().item())
""",
    "sparse layouts": """
import torch
torch.manual_seed(0)
d = torch.randn(4, 4).relu()
for s in (d.to_sparse(), d.to_sparse_csr(), d.to_sparse_csc(), d.to_sparse_bsr((2, 2)), d.to_sparse_bsc((2, 2))):
    print(s.layout, (s @ torch.ones(4, 2)).sum().item() if s.layout != torch.sparse_bsc else s.to_dense().sum().item())
e = torch.nn.Embedding(10, 3, sparse=True)
e(torch.tensor([1, 2])).sum().backward()
torch.optim.SparseAdam(e.parameters()).step()
print(e.weight.grad.coalesce().values().sum().item(), e.weight.sum().item())
x = d.to_sparse().requires_grad_()
torch.sparse.mm(x, torch.ones(4, 2)).sum().backward()
print(x.grad.to_dense().sum().item())
torch.sparse_coo_tensor(torch.empty(1, 0, dtype=torch.long), torch.empty(0), (3,)).to_dense().sum()
torch.empty(3, 3, layout=torch.sparse_coo); torch.zeros_like(d.to_sparse())
""",
    "quantised tensors": """
import torch, warnings
warnings.simplefilter("ignore")
torch.manual_seed(0)
q = torch.quantize_per_tensor(torch.randn(4, 4), 0.1, 0, torch.quint8)
print(q.dequantize().sum().item(), q.int_repr().sum().item())
p = torch.quantize_per_channel(torch.randn(4, 4), torch.ones(4) * .1, torch.zeros(4), 0, torch.qint8)
print(p.dequantize().sum().item())
torch._empty_affine_quantized([2, 2], scale=.1, zero_point=0, dtype=torch.quint8)
torch.empty_like(q)
m = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(torch.nn.Linear(4, 4)), {torch.nn.Linear}, dtype=torch.qint8)
print(m(torch.ones(2, 4)).sum().item())
""",
    "tensors of oneDNN": """
import torch
torch.manual_seed(0)
m = torch.randn(4, 4).to_mkldnn()
print((m + m).to_dense().sum().item())
from torch.utils import mkldnn
net = mkldnn.to_mkldnn(torch.nn.Linear(4, 3).eval())
print(net(torch.ones(2, 4).to_mkldnn()).to_dense().shape)
""",
    "meta and fake tensors": """
import torch
torch.manual_seed(0)
from torch._subclasses.fake_tensor import FakeTensorMode
net = torch.nn.Linear(4, 3, device="meta"); print(net(torch.empty(2, 4, device="meta")).shape)
net = net.to_empty(device="cpu"); torch.nn.init.ones_(net.weight); torch.nn.init.zeros_(net.bias); print(net(torch.ones(2, 4)).sum().item())
with FakeTensorMode() as mode:
    f = torch.nn.Linear(4, 3); out = f(torch.ones(2, 4)); print(type(out).__name__, out.shape)
    out.sum().backward()
fake = mode.from_tensor(torch.ones(3)); print((fake + 1).shape)
with torch.device("meta"): print(torch.nn.Conv2d(1, 2, 3).weight.device)
""",
    "transforms of torch.func": """
import torch
from torch.func import vmap, grad, jacrev, jacfwd, hessian, functional_call, jvp, vjp, functionalize
torch.manual_seed(0)
net = torch.nn.Linear(4, 3); p = dict(net.named_parameters()); x = torch.randn(5, 4)
loss = lambda p, x: functional_call(net, p, (x,)).square().sum()
print(vmap(grad(loss), in_dims=(None, 0))(p, x)["weight"].sum().item())
print(jacrev(net)(x).shape, jacfwd(net)(x[0]).sum().item(), hessian(lambda w: (w**3).sum())(x[0]).sum().item())
print(jvp(torch.sin, (x,), (x,))[1].sum().item(), vjp(torch.sin, x)[0].sum().item())
print(functionalize(lambda x: x.clone().add_(1))(x).sum().item())
print(vmap(lambda a: torch.rand(2) + a, randomness="different")(x[:, :1]).shape)
print(vmap(lambda a: torch.empty(3).copy_(torch.ones(3)) * a.sum())(x).shape)
""",
    "subclasses of tensors": """
import torch
from torch.utils._pytree import tree_map
class Wrapped(torch.Tensor):
    @staticmethod
    def __new__(cls, inner): return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype, requires_grad=inner.requires_grad)
    def __init__(self, inner): self.inner = inner
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        un = lambda t: t.inner if isinstance(t, Wrapped) else t
        return tree_map(lambda t: Wrapped(t) if isinstance(t, torch.Tensor) else t, func(*tree_map(un, args), **tree_map(un, kwargs or {})))
class Named(torch.Tensor): pass
class Logged(torch.Tensor):
    calls = []
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.calls.append(func.__name__); return super().__torch_function__(func, types, args, kwargs)
class Own(torch.Tensor):
    @staticmethod
    def __new__(cls, t): return torch.Tensor._make_subclass(cls, t)
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        un = lambda t: t.as_subclass(torch.Tensor) if isinstance(t, Own) else t
        with torch._C._DisableTorchDispatch(): out = func(*tree_map(un, args), **tree_map(un, kwargs or {}))
        return tree_map(lambda t: Own(t) if isinstance(t, torch.Tensor) else t, out)
torch.manual_seed(0)
w = Wrapped(torch.randn(3)); print((w * 2 + 1).inner.sum().item())
n = torch.randn(3).as_subclass(Named); print(type(n + 1).__name__, (n + 1).sum().item())
l = torch.randn(3).as_subclass(Logged); (l + 1).sum(); print(Logged.calls[:3])
o = Own(torch.randn(3)); print(type(o * 2).__name__, (o * 2).shape)
u = torch.nn.UninitializedParameter(); lazy = torch.nn.LazyLinear(3); print(lazy(torch.ones(2, 4)).shape)
""",
    "modes, profilers, checkpoints": """
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.overrides import TorchFunctionMode
class Count(TorchDispatchMode):
    n = 0
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        Count.n += 1; return func(*args, **(kwargs or {}))
torch.manual_seed(0)
with Count(): torch.nn.Linear(4, 3)(torch.ones(2, 4)).sum().backward()
print(Count.n)
from torch.utils.flop_counter import FlopCounterMode
with FlopCounterMode(display=False) as f: torch.nn.Linear(4, 3)(torch.ones(2, 4))
print(f.get_total_flops())
with torch.autograd.profiler.record_function("step"): torch.ones(3) + 1
from torch.utils.checkpoint import checkpoint
torch.manual_seed(0)
x = torch.randn(3, requires_grad=True); checkpoint(torch.sin, x, use_reentrant=False).sum().backward(); print(x.grad.sum().item())
checkpoint(torch.sin, x, use_reentrant=True).sum().backward(); print(x.grad.sum().item())
from torch.utils.checkpoint import create_selective_checkpoint_contexts
ctx = lambda: create_selective_checkpoint_contexts([torch.ops.aten.sin.default])
checkpoint(lambda x: x.sin().cos(), x, use_reentrant=False, context_fn=ctx).sum().backward(); print(x.grad.sum().item())
""",
    "TorchScript": """
import torch, warnings
warnings.simplefilter("ignore")
torch.manual_seed(0)
@torch.jit.script
def f(x):
    y = torch.empty(3)
    for i in range(3): y[i] = x[i].sum()
    return y.relu() + x.sum()
x = torch.randn(3, 4)
for _ in range(4): print(f(x).sum().item())
net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Dropout(0.1))
t = torch.jit.trace(net.eval(), x); print(t(x).sum().item(), len(list(t.inlined_graph.nodes())))
s = torch.jit.script(net); s = torch.jit.freeze(s.eval()); print(s(x).sum().item())
g = torch.jit.trace(lambda x: torch.empty_like(x).copy_(x) + 1, x); print([n.kind() for n in g.graph.nodes()])
fut = torch.jit.fork(f, x); print(torch.jit.wait(fut).sum().item())
""",
    "graphs traced by torch.fx": """
import torch
from torch.fx.experimental.proxy_tensor import make_fx
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()); x = torch.randn(3, 4)
g = torch.fx.symbolic_trace(net); print(g(x).sum().item())
m = make_fx(lambda x: net(x).sum() + torch.empty(2).fill_(1.0).sum())(x); print([n.name for n in m.graph.nodes], m(x).item())
m = make_fx(lambda x: x.relu().sum(), tracing_mode="fake")(x); print(len(m.graph.nodes))
m = make_fx(lambda x: x.relu().sum(), tracing_mode="symbolic")(x); print(len(m.graph.nodes))
from torch.func import functionalize
print(len(make_fx(functionalize(lambda x: x.clone().add_(1)))(x).graph.nodes))
""",
    "an exported program": """
import torch
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()); x = torch.randn(3, 4)
e = torch.export.export(net, (x,)); print(len(e.graph.nodes), e.module()(x).sum().item())
e2 = e.run_decompositions(); print(len(e2.graph.nodes))
""",
    "higher-order operators": """
import torch
torch.manual_seed(0)
x = torch.randn(4)
print(torch.cond(x.sum() > 0, lambda x: x.sin(), lambda x: x.cos(), (x,)).sum().item())
from torch.nn.attention.flex_attention import flex_attention
import warnings; warnings.simplefilter("ignore")
q = torch.randn(1, 1, 16, 8)
print(flex_attention(q, q, q).sum().item())
""",
    "odd memory, dtypes and names": """
import torch
torch.manual_seed(0)
x = torch.randn(4, 4)
z = torch._efficientzerotensor(3) + 1; print(z.sum().item())
import torch.autograd.forward_ad as fwd
with fwd.dual_level(): print(fwd.unpack_dual(fwd.make_dual(x, x).sin()).tangent.sum().item())
x.untyped_storage().resize_(0); x.untyped_storage().resize_(64); x.copy_(torch.ones(4, 4)); print(x.sum().item())
y = torch.ones(4, requires_grad=True); y.data = torch.zeros(3); print(y.shape)
l = torch._lazy_clone(torch.ones(3)); l.add_(1); print(l.sum().item())
c = torch.view_as_complex(torch.randn(3, 2)); print(c.conj().imag.sum().item(), c.real.sum().item(), torch._neg_view(torch.ones(3)).sum().item())
for d in (torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32, torch.uint64, torch.bits8, torch.uint4, torch.int4, torch.complex32, torch.float4_e2m1fn_x2):
    e = torch.empty(4, dtype=d)
print(torch.zeros(3, dtype=torch.float8_e4m3fn).float().sum().item())
try: torch.ones(3) + torch.ones(4)
except RuntimeError as e: print("caught")
m = torch.empty(0).resize_(5); m.fill_(2.0); print(m.sum().item())
m.resize_(8)[5:] = 1.0; print(m.sum().item())
a = torch.masked.masked_tensor(torch.ones(3), torch.tensor([True, False, True])) if hasattr(torch, "masked") else None
print(a.sum().get_data().item())
print(torch.ops.aten.add.Tensor(torch.ones(2), 1).sum().item())
w = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2)); import copy, pickle, io; copy.deepcopy(w); b = io.BytesIO(); torch.save(torch.nn.Linear(2, 2).state_dict(), b); b.seek(0); print(len(torch.load(b)))
b.seek(0); print(len(torch.load(b, mmap=False, map_location="meta")))
""",
    "one process of torch.distributed": """
import os, torch, torch.distributed as dist, tempfile
dist.init_process_group("gloo", init_method=f"file://{tempfile.mktemp()}", rank=0, world_size=1)
torch.manual_seed(0); net = torch.nn.parallel.DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(6, 2), torch.nn.BatchNorm1d(2), torch.nn.Linear(2,2)))
opt = torch.optim.SGD(net.parameters(), lr=.1)
for _ in range(3):
    opt.zero_grad(); net(torch.randn(8, 6)).sum().backward(); opt.step()
t = torch.ones(3); dist.all_reduce(t); outs = [torch.empty(3)]; dist.all_gather(outs, t); print(outs[0].sum().item())
o = [None]; dist.all_gather_object(o, {"a": 1}); print(o); b = [3]; dist.broadcast_object_list(b); print(b)
h = dist.all_reduce(t, async_op=True); h.wait(); print(t.sum().item()); dist.barrier()
import torch.distributed._functional_collectives as fc
print(fc.all_reduce(t, "sum", dist.group.WORLD).sum().item())
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import distribute_tensor, Shard
mesh = init_device_mesh("cpu", (1,)); d = distribute_tensor(torch.ones(4, 4), mesh, [Shard(0)]); print((d + 1).to_local().sum().item(), d.sum().full_tensor().item())
from torch.distributed.fsdp import fully_shard
m = torch.nn.Linear(4, 4); fully_shard(m, mesh=mesh); m(torch.ones(2, 4)).sum().backward(); print(m.weight.grad.full_tensor().sum().item())
print(net.module[0].weight.grad.sum().item()); dist.destroy_process_group()
""",
}
