"""Networks: built by name, initialised by seed, never coupling records."""

from dpcond.models.allocator import reuse_freed_memory
from dpcond.models.build import MODELS, Network, build, initialise
from dpcond.models.convnet import ConvNet
from dpcond.models.device import resolve_device
from dpcond.models.ensemble import Engine, Ensemble
from dpcond.models.leaves import dead_leaves
from dpcond.models.others import MLP, LeNet, ResNet18
from dpcond.models.patches import Patches
from dpcond.models.precision import Precision, computing, fastest
from dpcond.models.scattering import Scattering
from dpcond.models.whitening import Whitened

__all__ = [
    "MLP",
    "MODELS",
    "ConvNet",
    "Engine",
    "Ensemble",
    "LeNet",
    "Network",
    "Patches",
    "Precision",
    "ResNet18",
    "Scattering",
    "Whitened",
    "build",
    "computing",
    "dead_leaves",
    "fastest",
    "initialise",
    "resolve_device",
    "reuse_freed_memory",
]
