import pytest
import timm
import torch
import torch.nn.functional as F

from dermsim.models.depthwise import QuickDepthwise


def gradients(x, weight, *, quick, stride, padding, dilation=1):
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    groups = len(weight)
    if quick:
        with torch.autocast("cpu", torch.bfloat16), QuickDepthwise():
            y = F.conv2d(x, weight, None, stride, padding, dilation, groups)
        assert y.dtype == torch.bfloat16
    else:
        y = F.conv2d(x, weight, None, stride, padding, dilation, groups)
    y.float().square().sum().backward()
    return y.detach().float(), x.grad, weight.grad


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding", "dilation"),
    [
        (9, 3, 1, 1, 1),
        (9, 5, 1, 2, 1),
        (21, 3, 2, 0, 1),
        (20, 3, 2, 1, 1),
        (13, 5, 2, 0, 1),
        (12, 5, 2, 2, 1),
        (11, 7, 4, 1, 1),
        (13, 3, 2, 2, 2),
        (9, 3, 2, 4, 1),  # padded by more than the kernel reaches
    ],
)
def test_gradients_are_those_of_single_precision(side, kernel, stride, padding, dilation):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 8, side, side, generator=generator)
    x = x.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(8, 1, kernel, kernel, generator=generator)
    shape = {"stride": stride, "padding": padding, "dilation": dilation}
    for found, wanted in zip(
        gradients(x, weight, quick=True, **shape),
        gradients(x, weight, quick=False, **shape),
        strict=True,
    ):
        assert found.shape == wanted.shape
        assert ((found - wanted).norm() / wanted.norm()).item() < 0.01


def test_a_network_learns_as_without_it():
    torch.manual_seed(0)  # noqa: TID251 timm draws from the global generator
    network = timm.create_model("test_efficientnet", num_classes=3).eval()
    images = torch.randn(2, 3, 64, 64)

    def gradient(quick):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            if quick:
                with QuickDepthwise():
                    answer = network(images)
            else:
                answer = network(images)
        answer.float().square().mean().backward()
        return torch.cat([p.grad.flatten() for p in network.parameters()])

    assert torch.cosine_similarity(gradient(True), gradient(False), dim=0) > 0.98


def test_without_autocast_nothing_changes():
    x, weight = torch.randn(1, 4, 8, 8), torch.randn(4, 1, 3, 3)
    with QuickDepthwise():
        found = F.conv2d(x, weight, None, 1, 1, 1, 4)
    assert torch.equal(found, F.conv2d(x, weight, None, 1, 1, 1, 4))
