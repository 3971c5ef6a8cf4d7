import subprocess
import sys

import pytest
import torch
from torch.nn import functional

from shapeofloss.errors import UserError
from shapeofloss.landscape.networks import WideResNet, number_of_parameters


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_package_imports_without_torch():
    code = "import sys, shapeofloss.landscape; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_best_known_network_has_its_published_number_of_parameters():
    assert number_of_parameters(WideResNet(28, 10)) == 36_479_194


def test_a_small_network_has_the_parameters_counted_by_hand():
    stage1 = 2 * 4 + 2 * 9 * 4 * 4 + 2 * 4
    stage2 = 2 * 4 + 9 * 4 * 8 + 2 * 8 + 9 * 8 * 8 + 4 * 8
    stage3 = 2 * 8 + 9 * 8 * 16 + 2 * 16 + 9 * 16 * 16 + 8 * 16
    by_hand = 9 * 4 + stage1 + stage2 + stage3 + 2 * 16 + 16 * 10 + 10
    assert number_of_parameters(WideResNet(10, 1, base=4, in_channels=1)) == by_hand


def test_the_forward_pass_is_the_one_written_out():
    model = WideResNet(10, 1, base=2, in_channels=1, classes=3, generator=seeded()).double()
    images = torch.randn(5, 1, 8, 8, dtype=torch.float64, generator=seeded(1))

    def activated(name, x):
        weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
        return functional.relu(functional.batch_norm(x, None, None, weight, bias, training=True))

    def convolved(name, x, stride=1):
        weight = parameters[f"{name}.weight"]
        return functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    parameters = dict(model.named_parameters())
    x = convolved("convolution", images)
    for block, stride in enumerate((1, 2, 2)):
        name = f"blocks.{block}"
        first = activated(f"{name}.normalisation1", x)
        second = activated(f"{name}.normalisation2", convolved(f"{name}.convolution1", first, stride))
        shortcut = x if block == 0 else convolved(f"{name}.shortcut", first, stride)
        x = convolved(f"{name}.convolution2", second) + shortcut
    pooled = activated("normalisation", x).flatten(2).mean(2)
    expected = pooled @ parameters["scores.weight"].T + parameters["scores.bias"]
    torch.testing.assert_close(model(images), expected, rtol=1e-12, atol=1e-12)


def test_stages_shrink_by_their_strides_with_a_shortcut_wherever_the_shape_changes():
    model = WideResNet(16, 1, base=4, strides=(2, 1, 2), in_channels=1)
    features = model.blocks(model.convolution(torch.zeros(1, 1, 16, 16)))
    assert features.shape == (1, 16, 4, 4)
    assert [block.shortcut is None for block in model.blocks] == [False, True] * 3


def test_the_initial_weights_are_those_of_the_docstring():
    model = WideResNet(10, 4, generator=seeded())
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            weights = module.weight.detach().double()
            variance = 2 / (module.kernel_size[0] ** 2 * module.out_channels)
            assert weights.var().item() == pytest.approx(variance, rel=5 * (2 / weights.numel()) ** 0.5)
            assert module.bias is None
        if isinstance(module, torch.nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()
    assert (model.scores.bias == 0).all()
    assert model.scores.weight.abs().max() <= 256**-0.5
    assert model.scores.weight.std().item() == pytest.approx((256 * 3) ** -0.5, rel=0.05)


def test_the_generator_alone_decides_the_weights():
    torch.manual_seed(0)
    first = WideResNet(10, 1, base=2, generator=seeded(5)).state_dict()
    torch.manual_seed(1)
    second = WideResNet(10, 1, base=2, generator=seeded(5)).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("depth", [4, 5, 11])
def test_a_depth_of_another_form_names_valid_ones(depth):
    with pytest.raises(UserError, match=f"cannot have depth {depth}: use 6 n \\+ 4, such as 10, 16"):
        WideResNet(depth, 1)


def test_three_stages_want_three_strides():
    with pytest.raises(UserError, match="There are 2 strides, but three stages"):
        WideResNet(10, 1, strides=(1, 2))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"depth": -2}, "depth is -2; a whole number from 1"),
        ({"depth": 10.0}, "depth is 10.0; a whole number from 1"),
        ({"width": 0}, "width is 0; a whole number from 1"),
        ({"width": "2"}, "width is '2'; a whole number from 1"),
        ({"base": 2.5}, "base is 2.5; a whole number from 1"),
        ({"classes": True}, "classes is True; a whole number from 1"),
        ({"in_channels": None}, "in_channels is None; a whole number from 1"),
        ({"strides": (1, 0, 2)}, "An entry of strides is 0; a whole number from 1"),
        ({"generator": 3}, r"generator is 3; a torch\.Generator is needed: torch\.Generator\(\)\.manual_seed"),
    ],
)
def test_what_is_no_size_of_a_network_is_refused(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        WideResNet(**{"depth": 10, "width": 1} | wrong)
