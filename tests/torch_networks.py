"""The paper's networks in PyTorch, with the names of its state dicts: the second opinion on those of src/graph/zoo/."""
import math

import torch
from torch import nn

WIDTHS = (64, 128, 256, 512)


def conv(inputs, outputs, kernel, stride=1, bias=False):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias)


class Net(nn.Module):
    """Everything but the last layer is `feature`."""

    def forward(self, x):
        return self.linear(torch.flatten(self.feature(x), 1))


class Sequence(Net):
    def __init__(self, blocks, width, classes):
        super().__init__()
        self.blocks, self.linear = nn.Sequential(*blocks), nn.Linear(width, classes)
        self.feature = self.blocks.forward


def linear(shape, classes):
    net = Net()
    net.linear, net.feature = nn.Linear(math.prod(shape), classes), lambda x: x
    return net


class Flat(Sequence):
    def forward(self, x):
        return super().forward(torch.flatten(x, 1))


def mlp(shape, classes):
    return Flat([nn.Linear(math.prod(shape), 128), nn.ReLU(), nn.Linear(128, 256), nn.ReLU()], 256, classes)


def cnn(shape, classes):
    blocks, channels = [], shape[0]
    for width in WIDTHS:
        blocks += [conv(channels, width, 3, bias=True), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return Sequence([*blocks[:-1], nn.AdaptiveAvgPool2d(1)], channels, classes)


class Preactivation(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.n1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, outputs, 3, stride)
        self.n2, self.conv2 = nn.BatchNorm2d(outputs), conv(outputs, outputs, 3)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = conv(inputs, outputs, 1, stride)

    def forward(self, x):
        active = torch.relu(self.n1(x))
        if self.shortcut is not None:
            x = self.shortcut(active)
        return self.conv2(torch.relu(self.n2(self.conv1(active)))) + x


def stage(block, inputs, outputs, stride, count):
    return nn.Sequential(block(inputs, outputs, stride), *[block(outputs, outputs, 1) for _ in range(count - 1)])


class ResNet(Net):
    def __init__(self, shape, classes, count):
        super().__init__()
        self.conv1, inputs, stages = conv(shape[0], 64, 3), 64, []
        for i, width in enumerate(WIDTHS):
            stages.append(stage(Preactivation, inputs, width, 2 if i else 1, count))
            inputs = width
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.n4, self.linear = nn.BatchNorm2d(inputs), nn.Linear(inputs, classes)

    def feature(self, x):
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        return torch.relu(self.n4(x)).mean((2, 3))


class Stage(nn.Module):
    def __init__(self, inputs, outputs, stride, count):
        super().__init__()
        self.layer = stage(Preactivation, inputs, outputs, stride, count)

    def forward(self, x):
        return self.layer(x)


def wide(shape, classes, widen):
    halvings = round(math.log2(min(shape[1:]))) - 3
    count = int((27 / (halvings + 1) - 1) / 2)
    blocks, inputs = [conv(shape[0], 16, 3)], 16
    for i in range(halvings + 1):
        blocks.append(Stage(inputs, 16 * 2**i * widen, 2 if i else 1, count))
        inputs = 16 * 2**i * widen
    return Sequence([*blocks, nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1)], inputs, classes)


class Bottleneck(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        width = outputs // 4
        self.conv1, self.bn1 = conv(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, outputs, 1), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(y)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet50(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.conv1, self.bn1, inputs, stages = conv(shape[0], 64, 7, 2), nn.BatchNorm2d(64), 64, []
        for i, (width, count) in enumerate(zip(WIDTHS, (3, 4, 6, 3))):
            stages.append(stage(Bottleneck, inputs, 4 * width, 2 if i else 1, count))
            inputs = 4 * width
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.fc(self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))


NETWORKS = {
    "linear": linear,
    "mlp": mlp,
    "cnn": cnn,
    "resnet9": lambda shape, classes: ResNet(shape, classes, 1),
    "resnet18": lambda shape, classes: ResNet(shape, classes, 2),
    "resnet50": ResNet50,
    "wresnet28x2": lambda shape, classes: wide(shape, classes, 2),
    "wresnet28x8": lambda shape, classes: wide(shape, classes, 8),
}


def network(name, shape, classes):
    return NETWORKS[name](shape, classes)
