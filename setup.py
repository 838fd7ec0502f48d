"""For pip: the interface files and settings, which ROS keeps at the top level, travel inside the wheel as well."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHARED = ("msg", "srv", "config/expression.yaml", "config/fastdds_large_images.xml")


class BuildWithShare(build_py):
    """Copies `SHARED` to aue_crl_ros/share; an editable install reads them where they lie (see share.py)."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for name in SHARED:
            source, target = Path(name), Path(self.build_lib, "aue_crl_ros", "share", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)


setup(cmdclass={"build_py": BuildWithShare})
