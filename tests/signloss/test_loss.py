"""The directional sign loss against a loop over all pairs, gradients, limits, invariances, and what it refuses."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from shapeofloss.errors import UserError
from shapeofloss.signloss import (
    DirectionalSignLoss,
    compiled,
    directional_sign_loss,
    exact_sign_mismatch,
    loss,
    reference,
)

SHAPES = [(3, 7), (2, 4, 5), (2, 3, 4, 5), (1, 2, 3, 2, 3), (2, 1, 6), (2, 4, 1)]
PLAIN = {"average": "none", "halve": True, "reduction": "sum"}  # Algorithm 1
SIGNS = {
    "tanh": math.tanh,
    "softsign": lambda u: u / (1 + abs(u)),
    "arctan": lambda u: math.atan(u) / (math.pi / 2),
    "algebraic": lambda u: u / math.hypot(1, u),
    "erf": math.erf,
}


def pair(shape, seed=0, dtype=torch.float64, ties=False):
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return ((3 * x).round(), (3 * y).round()) if ties else (x.to(dtype), y.to(dtype))


def by_loops(x, y, sign, weights=None):
    """Return Algorithm 1 without halving, for each example and dimension, and the number of comparisons of each."""
    d = x.dim() - 1
    sums, counts = np.zeros((len(x), d)), np.zeros(d, int)
    for example in range(len(x)):
        for place in itertools.product(*map(range, x.shape[1:])):
            for i in range(d):
                if place[i] + 1 < x.shape[1 + i]:
                    after = tuple(p + (j == i) for j, p in enumerate(place))
                    a, b = (float(t[(example, *after)] - t[(example, *place)]) for t in (x, y))
                    sums[example, i] += abs(sign(a) - sign(b)) * (1 if weights is None else weights[i])
                    counts[i] += example == 0
    return sums, counts


@pytest.fixture(params=["compiled", "eager"])
def way(request, monkeypatch):
    """Both ways to compute the loss: what is true of it has to be true of both."""
    assert loss._compiled() is not None
    if request.param == "eager":
        monkeypatch.setattr(loss, "_compiled", lambda: None)
    return request.param


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sign_like", SIGNS)
def test_every_option_is_the_loop_over_all_pairs(way, shape, sign_like):
    x, y = pair(shape)
    s, weights = 1.7, [0.5, 2.0, 0.0, 1.5][: len(shape) - 1]
    sums, counts = by_loops(x, y, lambda a: SIGNS[sign_like](s * a), weights)
    compared = sum(n for n, w in zip(counts, weights, strict=True) if w)
    each = {
        "none": sums.sum(1),
        "comparisons": sums.sum(1) / compared if compared else None,
        "dimensions": sum(sums[:, i] / n for i, n in enumerate(counts) if n),
    }
    if not compared:
        return
    for (average, expected), halve in itertools.product(each.items(), (True, False)):
        options = {"sharpness": s, "sign_like": sign_like, "weights": weights, "average": average, "halve": halve}
        expected = expected / 2 if halve else expected
        assert np.allclose(directional_sign_loss(x, y, **options, reduction="none"), expected, rtol=1e-12)
        for reduction, value in (("mean", expected.mean()), ("sum", expected.sum())):
            found = directional_sign_loss(x, y, **options, reduction=reduction)
            assert found.shape == () and float(found) == pytest.approx(value, rel=1e-12)
            module = DirectionalSignLoss(**options, reduction=reduction)
            assert float(module(x, y)) == float(found)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_exact_count_is_the_loop_over_all_pairs_with_zeros_counting_half(shape):
    x, y = pair(shape, ties=True)
    sums, counts = by_loops(x, y, lambda a: float(np.sign(a)))
    assert np.allclose(exact_sign_mismatch(x, y, reduction="none"), sums.sum(1) / 2)
    assert float(exact_sign_mismatch(x.long(), y.long())) == float(exact_sign_mismatch(x, y))
    share = exact_sign_mismatch(x, y, average="comparisons", halve=False, reduction="none")
    assert np.allclose(share, sums.sum(1) / counts.sum())


def test_unsigned_integers_do_not_wrap_around():
    up, down = torch.tensor([[1, 2, 3]], dtype=torch.uint8), torch.tensor([[3, 2, 1]], dtype=torch.uint8)
    assert float(exact_sign_mismatch(up, down)) == 2


@pytest.mark.parametrize("sign_like", SIGNS)
def test_a_large_sharpness_gives_the_exact_count(way, sign_like):
    x, y = pair((2, 5, 6), ties=True)
    found = directional_sign_loss(x, y, sharpness=1e9, sign_like=sign_like, **PLAIN)
    assert float(found) == pytest.approx(float(exact_sign_mismatch(x, y, reduction="sum")), abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_differences_twice(way, shape):
    x, y = (t.requires_grad_() for t in pair(shape))

    def each(x, y):
        return directional_sign_loss(x, y, sharpness=0.8, reduction="none")

    assert gradcheck(each, (x, y)) and gradgradcheck(each, (x, y))


def test_a_gradient_is_the_same_asked_for_twice_scaled_or_for_one_side():
    x, y = pair((4, 6, 5))
    x.requires_grad_()
    found = directional_sign_loss(x, y, sharpness=2.0)
    (first,) = torch.autograd.grad(found, x, retain_graph=True)
    kept = first.clone()
    (tripled,) = torch.autograd.grad(3 * found, x, retain_graph=True)
    assert torch.equal(first, kept) and torch.allclose(tripled, 3 * first, rtol=1e-14)
    swapped = y.clone().requires_grad_()
    (other,) = torch.autograd.grad(directional_sign_loss(x.detach(), swapped, sharpness=2.0), swapped)
    (expected,) = torch.autograd.grad(directional_sign_loss(swapped, x.detach(), sharpness=2.0), swapped)
    assert torch.equal(other, expected)


def test_views_have_the_gradient_of_what_they_show(way):
    x, y = pair((3, 6, 7))
    plain, turned = x.clone().requires_grad_(), x.clone().mT.requires_grad_()
    (expected,) = torch.autograd.grad(directional_sign_loss(plain, y, sharpness=2.0), plain)
    (found,) = torch.autograd.grad(directional_sign_loss(turned, y.mT, sharpness=2.0), turned)
    assert torch.allclose(found.mT, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 5000), (2, 3, 70, 70), (2, 8, 64, 64)])
def test_the_compiled_way_is_the_eager_one(dtype, shape):
    x, y = pair(shape, dtype=dtype)
    x.requires_grad_()
    tight = 1e-6 if dtype == torch.float32 else 1e-14
    for sharpness in (0.01, 1.0, 30.0):
        quick = directional_sign_loss(x, y, sharpness=sharpness, **PLAIN)
        wide, other = x.detach().double().requires_grad_(), y.double()
        plain = reference.mismatch(
            wide, other, lambda u, s=sharpness: torch.tanh(s * u), [0.5] * (len(shape) - 1)
        ).sum()
        assert quick.item() == pytest.approx(plain.item(), rel=tight)
        (gradient,), (expected,) = torch.autograd.grad(quick, x), torch.autograd.grad(plain, wide)
        gap = (gradient - expected).abs()
        # Where two differences agree to rounding, which of them is larger is decided by the rounding.
        assert float(gap.flatten().kthvalue(gap.numel() - 4).values) < 20 * tight * sharpness * (len(shape) - 1)


def test_tanh_of_the_compiled_loops_is_that_of_numpy():
    for dtype, units in ((torch.float32, 4), (torch.float64, 6)):
        u = torch.cat([torch.logspace(-30, 3, 4001, dtype=dtype), torch.linspace(0, 25, 4001, dtype=dtype)])
        steps = torch.stack([torch.zeros_like(u), u], dim=1)
        found = directional_sign_loss(steps, torch.zeros_like(steps), sharpness=1.0, average="none", reduction="none")
        expected = np.tanh(u.double().numpy())
        assert np.all(np.abs(found.double().numpy() - expected) <= units * torch.finfo(dtype).eps * expected)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_numerator_and_denominator_give_tanh_without_being_compiled_too(kind):
    for u in np.linspace(-3, 3, 61).astype(kind):
        numerator, denominator, inner = compiled.ratio(u)
        assert numerator / denominator == pytest.approx(np.tanh(4 * np.float64(u)), rel=4 * float(np.finfo(kind).eps))
        assert inner == u or abs(inner) > 2.25


def test_constants_and_batches_change_nothing_they_should_not(way):
    x, y = pair((3, 6, 7))
    plain = directional_sign_loss(x, y, sharpness=3.0, reduction="none")
    assert torch.allclose(directional_sign_loss(x + 5, y - 2, sharpness=3.0, reduction="none"), plain)
    assert torch.allclose(directional_sign_loss(x / 2, y / 2, sharpness=6.0, reduction="none"), plain)
    assert torch.allclose(directional_sign_loss(x.flip(2), y.flip(2), sharpness=3.0, reduction="none"), plain)
    assert torch.allclose(directional_sign_loss(x.mT, y.mT, sharpness=3.0, reduction="none"), plain)  # not contiguous
    assert torch.allclose(directional_sign_loss(y, x, sharpness=3.0, reduction="none"), plain)
    assert torch.equal(directional_sign_loss(x[1:2], y[1:2], sharpness=3.0, reduction="none"), plain[1:2])
    assert float(directional_sign_loss(x, x, sharpness=3.0)) == 0
    opposite = directional_sign_loss(x, -x, sharpness=1e9, reduction="none")
    assert torch.allclose(opposite, torch.full_like(opposite, 2.0))


def test_a_field_is_the_sum_of_its_components(way):
    x, y = pair((2, 5, 6, 3))
    field = directional_sign_loss(x, y, sharpness=2.0, weights=[1, 1, 0], **PLAIN)
    parts = sum(directional_sign_loss(x[..., c], y[..., c], sharpness=2.0, **PLAIN) for c in range(3))
    assert float(field) == pytest.approx(float(parts), rel=1e-12)
    mean = directional_sign_loss(x, y, sharpness=2.0, weights=[1, 1, 0])
    assert float(mean) == pytest.approx(float(parts) * 2 / (2 * 3 * (4 * 6 + 5 * 5)), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_near_and_keeps_its_type(dtype):
    x, y = pair((2, 8, 9), dtype=dtype)
    found = directional_sign_loss(x, y, sharpness=1.0)
    assert found.dtype == dtype
    assert float(found) == pytest.approx(float(directional_sign_loss(x.double(), y.double(), sharpness=1.0)), rel=0.05)


FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("kinds", list(itertools.permutations(FLOATS, 2)))
def test_two_floating_types_are_promoted_as_pytorch_promotes_them(way, kinds):
    x, y = (t.to(kind) for t, kind in zip(pair((2, 8, 9)), kinds, strict=True))
    common = (x[:1, :1, :1] - y[:1, :1, :1]).dtype
    promoted = x.to(common), y.to(common)
    for call in (lambda x, y: directional_sign_loss(x, y, sharpness=1.0), exact_sign_mismatch):
        assert call(x, y).dtype == call(*promoted).dtype == common and torch.equal(call(x, y), call(*promoted))
    leaf, own = x.clone().requires_grad_(), promoted[0].clone().requires_grad_()
    directional_sign_loss(leaf, y, sharpness=1.0).backward()
    directional_sign_loss(own, promoted[1], sharpness=1.0).backward()
    assert leaf.grad.dtype == x.dtype and torch.equal(leaf.grad, own.grad.to(x.dtype))


def test_a_model_under_autocast_trains_against_targets_of_single_precision():
    torch.manual_seed(0)
    model, target = torch.nn.Linear(9, 9), torch.randn(4, 9)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(target)
        found = directional_sign_loss(output, target, sharpness=1.0)
    assert output.dtype == torch.bfloat16 and found.dtype == torch.float32
    steps = (torch.tanh(t.detach().double().diff(dim=1)) for t in (output, target))
    assert found.item() == pytest.approx(float((next(steps) - next(steps)).abs().mean()), rel=1e-5)
    found.backward()
    assert model.weight.grad.dtype == torch.float32 and model.weight.grad.any()


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")  # of forward mode itself
def test_transformations_of_functions_work():
    x, y = pair((3, 4, 5))

    def single(x, y):
        return directional_sign_loss(x[None], y[None], sharpness=1.0)

    each = torch.func.vmap(single)(x, y)
    assert torch.allclose(each, directional_sign_loss(x, y, sharpness=1.0, reduction="none"))
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(directional_sign_loss(leaf, y, sharpness=1.0, reduction="sum"), leaf)
    assert torch.allclose(torch.func.vmap(torch.func.grad(single))(x, y), expected)
    _, along = torch.func.jvp(lambda t: directional_sign_loss(t, y, sharpness=1.0, reduction="sum"), (x,), (y,))
    assert float(along) == pytest.approx(float((expected * y).sum()))
    assert torch.func.hessian(lambda t: single(t, y[0]))(x[0]).shape == (4, 5, 4, 5)


def test_a_sharpness_can_be_learned():
    x, y = pair((2, 9))
    s = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda s: directional_sign_loss(x, y, sharpness=s), (s,))
    plain = directional_sign_loss(x, y, sharpness=1.3)
    assert directional_sign_loss(x, y, sharpness=s).item() == pytest.approx(plain.item())


def test_not_a_number_stays_in_its_example(way):
    x, y = pair((3, 5))
    x[1, 2] = math.nan
    for found in (
        directional_sign_loss(x, y, sharpness=1.0, reduction="none"),
        exact_sign_mismatch(x, y, reduction="none"),
    ):
        assert found.isnan().tolist() == [False, True, False]
    x[1, 2], x[2, :2] = 0, math.inf
    found = directional_sign_loss(x, y, sharpness=1.0, reduction="none")
    assert found.isnan().tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"y": torch.zeros(2, 4)}, r"x has shape \(2, 3\) and y has \(2, 4\); they have to be equal"),
        ({"y": torch.zeros(2, 3).long()}, "they have to be alike"),
        ({"x": torch.zeros(2, 3).long(), "y": torch.zeros(2, 3).int()}, "they have to be alike"),
        ({"y": torch.zeros(2, 3).to(torch.float8_e5m2)}, "they have to be alike"),
        ({"y": torch.zeros(2, 3).cfloat()}, "y is torch.complex64; complex numbers have no order"),
        ({"x": torch.zeros(2, 3).long(), "y": torch.zeros(2, 3).long()}, r"Convert them, with x.float\(\)"),
        ({"x": torch.zeros(2, 3).cfloat(), "y": torch.zeros(2, 3).cfloat()}, "complex numbers have no order"),
        ({"sharpness": 0.0}, "sharpness is 0.0; a finite number above 0"),
        ({"sharpness": -1.0}, "above 0"),
        ({"sharpness": math.nan}, "sharpness is nan"),
        ({"sign_like": "tahn"}, "Did you mean 'tanh'"),
        ({"average": "comparison"}, "Did you mean 'comparisons'"),
        ({"reduction": "avg"}, "There is no reduction 'avg'"),
        ({"weights": [1, 1]}, "There are 2 weights"),
        ({"weights": [-1]}, "A weight is -1; a finite number from 0"),
        ({"weights": [0]}, "nothing to compare"),
        ({"x": torch.zeros(2, 1), "y": torch.zeros(2, 1)}, "nothing to compare"),
        ({"x": torch.zeros(3), "y": torch.zeros(3)}, r"give x\[None\]"),
        ({"x": torch.zeros(0, 3), "y": torch.zeros(0, 3)}, "at least one"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(change, sentence):
    arguments = {"x": torch.zeros(2, 3), "y": torch.zeros(2, 3), "sharpness": 1.0, **change}
    with pytest.raises(UserError, match=sentence):
        directional_sign_loss(arguments.pop("x"), arguments.pop("y"), **arguments)


def test_torch_and_numpy_are_all_that_it_needs():
    check = (
        "import sys\n"
        "class Nothing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'numba', 'scipy', 'gudhi', 'matplotlib'}: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Nothing())\n"
        "import torch\n"
        "from shapeofloss.signloss import directional_sign_loss, loss\n"
        "assert loss._compiled() is None\n"
        "print(float(directional_sign_loss(torch.tensor([[0., 1.]]), torch.tensor([[1., 0.]]), sharpness=99.)))\n"
    )
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert run.stdout == "2.0\n", run.stderr


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_means_and_counts_of_half_precision_are_those_of_double(kind):
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(1, 70_000, generator=generator).to(kind) for _ in "xy")
    found = directional_sign_loss(x, y, sharpness=30.0)
    assert float(found) == pytest.approx(float(directional_sign_loss(x.double(), y.double(), sharpness=30.0)), rel=0.01)
    assert float(exact_sign_mismatch(x, y)) == float(exact_sign_mismatch(x.double(), y.double())) > 30_000


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_beyond_saturation_and_at_infinity_the_loss_is_that_of_plain_operations(way, dtype):
    u = torch.tensor([[0.0, 1000.0]], dtype=dtype, requires_grad=True)
    assert not torch.autograd.grad(directional_sign_loss(u, -u.detach(), sharpness=1e6), u)[0].any()
    for end, other, s in ((1e30, 2e30, 1e30), (math.inf, math.inf, 1.0)):
        x, y = (torch.tensor([[0.0, t]], dtype=dtype) for t in (end, other))
        assert abs(float(directional_sign_loss(x, y, sharpness=s))) < 1e-15
    with pytest.raises(UserError, match="can be computed"):
        directional_sign_loss(u.float(), u.float(), sharpness=1e39)


def test_batched_gradients_traced_graphs_and_negated_views_are_those_of_plain_operations():
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.autograd.functional import jacobian
    from torch.fx.experimental.proxy_tensor import make_fx

    x, y = pair((2, 6))

    def each(t, sign="tanh"):
        return directional_sign_loss(t, y, sharpness=2.0, sign_like=sign, reduction="none")

    plain = jacobian(lambda t: each(t, torch.tanh), x)
    assert torch.allclose(jacobian(each, x, vectorize=True), plain)
    assert torch.allclose(make_fx(lambda t: each(t))(y * 2)(x), each(x))
    assert torch.allclose(each(torch._neg_view(x)), each(-x))
    with FakeTensorMode():
        assert directional_sign_loss(torch.randn(2, 5), torch.randn(2, 5), sharpness=2.0).shape == ()


def test_neighbouring_whole_numbers_beyond_double_precision_differ():
    assert float(exact_sign_mismatch(torch.tensor([[2**53, 2**53 + 1]]), torch.tensor([[0, 1]]))) == 0


@pytest.mark.parametrize("given", [np.zeros((2, 3)), [[1.0, 2.0]], None, torch.zeros(2, 3).to_sparse()])
def test_what_is_no_dense_tensor_is_refused_with_a_sentence(given):
    for call in (lambda: directional_sign_loss(given, given, sharpness=1.0), lambda: exact_sign_mismatch(given, given)):
        with pytest.raises(UserError, match="tensor"):
            call()
