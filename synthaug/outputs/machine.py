"""What made an output: versions of libraries, and the machine."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version


def environment() -> dict[str, str]:
    """Library versions and hardware, for results to be read by."""
    packages = {
        "torch": "torch",
        "numpy": "numpy",
        "scikit-learn": "sklearn",
        "albumentations": "albumentations",
    }
    return {
        "hardware": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: found for name, module in packages.items() if (found := _version(name, module))},
    }


def versions() -> dict[str, str]:
    """Of the libraries that the bytes of an output depend on."""
    packages = {
        "synthaug": "synthaug",
        "torch": "torch",
        "numpy": "numpy",
        "pillow": "PIL",
        "pyarrow": "pyarrow",
    }
    found = {name: _version(name, module) for name, module in packages.items()}
    return {"python": platform.python_version(), **found, "datasets": _version("datasets", "datasets")}


def _version(package: str, module: str) -> str:
    """Of what was imported, where it was: another package may have put a module of that name there. Empty for none."""
    try:
        return str(getattr(sys.modules.get(module), "__version__", None) or version(package))
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """The processor's name where the system tells it."""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
