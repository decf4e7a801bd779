"""Xpresso with random weights whose last layers are on, so that its output depends on its input."""

import torch

from hapsight.models.xpresso import Xpresso, XpressoNet


def lively_xpresso() -> Xpresso:
    """Biases make the padding at an edge differ from a run of N."""
    torch.manual_seed(0)
    network = XpressoNet()
    for layer in (network.conv1, network.conv2):
        torch.nn.init.normal_(layer.bias, std=0.5)
    for layer in (network.dense1, network.dense2, network.dense3):
        torch.nn.init.normal_(layer.weight, std=0.1)
    torch.nn.init.constant_(network.dense2.bias, 3.0)
    return Xpresso("xpresso/random", network, cell_type="none", half_life=[0.3, -1, 0, 0, 2, 0.1])
