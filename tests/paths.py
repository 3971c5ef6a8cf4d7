"""Records of paths that are written down by hand."""

import numpy as np
import torch

from shapeofloss.landscape.record import Recorder

OPTIMUM = np.array([3.0, 0.0, 0.0])


def record_of(paths, steps=None):
    """Record paths of points relative to the optimum, one step size each."""
    recorder = Recorder(torch.tensor(OPTIMUM), 0.0, 1.0)
    for number, path in enumerate(paths):
        for epoch, displacement in enumerate(path):
            step = (steps or range(len(paths)))[number]
            recorder.add(torch.tensor(OPTIMUM + displacement), 1.0, 1.0, seed=number, step=step, epoch=epoch)
    return recorder.record()
