"""Realistic models for add_graph, made of torch.nn only, and inputs for them."""

from dataclasses import dataclass

import torch
from torch import nn


class Residual(nn.Module):
    def __init__(self, channels, stride=1):
        super().__init__()
        out = channels * stride
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = (
            nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if stride > 1 else None
        )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + identity)


class ResNet(nn.Module):
    """A ResNet of 18 layers, as in "Deep Residual Learning for Image Recognition", whose `width` is 64."""

    def __init__(self, width=8, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = nn.Sequential(Residual(width), Residual(width))
        self.layer2 = nn.Sequential(Residual(width, 2), Residual(2 * width))
        self.layer3 = nn.Sequential(Residual(2 * width, 2), Residual(4 * width))
        self.layer4 = nn.Sequential(Residual(4 * width, 2), Residual(8 * width))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Encoder(nn.Module):
    """A transformer that classifies sequences of tokens."""

    def __init__(self, tokens=50, width=16, layers=2, heads=2, length=32):
        super().__init__()
        self.tokens = nn.Embedding(tokens, width)
        self.positions = nn.Parameter(torch.zeros(length, width))
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, 3)

    def forward(self, tokens, padding=None):
        x = self.tokens(tokens) + self.positions[: tokens.shape[1]]
        return self.head(self.encoder(x, src_key_padding_mask=padding).mean(1))


class Language(nn.Module):
    """An LSTM that predicts the next token from all before, and returns its state, too."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 8)
        self.lstm = nn.LSTM(8, 12, num_layers=2, dropout=0.2, bidirectional=True, batch_first=True)
        self.output = nn.Linear(24, 30)

    def forward(self, tokens, state=None):
        hidden, state = self.lstm(self.embedding(tokens), state)
        return self.output(hidden), state


class Ponder(nn.Module):
    """A model that repeats its block as often as the data demand, and returns a dict."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.halt = nn.Linear(4, 1)

    def forward(self, x):
        steps, mass = 0, torch.zeros(())
        while mass < 2 and steps < 5:
            x = self.block(x)
            mass = mass + torch.sigmoid(self.halt(x)).mean()
            steps += 1
        return {"state": x, "steps": torch.tensor(steps)}


@dataclass
class Batch:
    ids: torch.Tensor
    mask: torch.Tensor
    name: str = "train"


class OfBatch(nn.Module):
    """A model whose input is a dataclass."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 2)])

    def forward(self, batch):
        x = self.embedding(batch.ids) * batch.mask[..., None]
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x


def images(size=32):
    return torch.linspace(-1, 1, 2 * 3 * size * size).reshape(2, 3, size, size)


def tokens(length=6):
    return torch.arange(2 * length).reshape(2, length) % 10


def batch():
    return Batch(tokens(), torch.ones(2, 6))
