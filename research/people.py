"""Who the persons of an index are, as far as public lists and a network tell, for `benchmarks/groups.py`.

    python research/people.py raf_ident.parquet --package human-models-3.0.4.tgz \
      --men male_names.txt --women female_names.txt --output people.csv

`raf_ident.parquet` comes from `identities.py`. Sex: the lists of LFW's pictures that Afifi and Abdelhamed checked by
hand ("AFIF4", 2017), a file name a line (`Abdullah_Gul_0001.jpg`); a person on both lists has none. Age: what
VGGFace2's network (`vggface.py`) sees, averaged over a person's faces of all splits: a guess, in three coarse groups.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np
from face_teacher import labelled
from torch.utils.data import DataLoader
from vggface import VggFace, luminance

from aue_crl_core.config import Preprocessing
from aue_crl_core.data.dataset import FaceDataset
from aue_crl_core.data.index import DatasetIndex

_SIDE: Final = 128


def persons(listed: Path) -> set[str]:
    """The persons on a list of LFW's file names."""
    return {line.strip().rpartition("_")[0] for line in listed.read_text().splitlines() if line.strip()}


def ages(index: DatasetIndex, network: VggFace) -> dict[str, float]:
    """Subject -> apparent age in years."""
    seen: dict[str, list[float]] = defaultdict(list)
    for split in index.splits():
        part = index.select(split)
        subjects = iter([record.subject for record in labelled(part)])
        for sample in DataLoader(FaceDataset([part], Preprocessing(input_size=_SIDE)), 128):
            for age in network.apparent_age(luminance(sample.image)).tolist():
                seen[next(subjects) or ""].append(age)
    return {person: float(np.mean(some)) for person, some in seen.items() if person}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--men", type=Path, required=True)
    parser.add_argument("--women", type=Path, required=True)
    parser.add_argument("--output", "-o", type=Path, required=True)
    arguments = parser.parse_args()
    men, women = persons(arguments.men), persons(arguments.women)
    with arguments.output.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("subject", "sex", "apparent age"))
        for person, age in sorted(ages(DatasetIndex.read(arguments.index), VggFace(arguments.package).eval()).items()):
            sex = {(True, False): "man", (False, True): "woman"}.get((person in men, person in women), "")
            group = "0 to 34" if age < 35 else "35 to 49" if age < 50 else "50 and more"
            rows.writerow((person, sex, group))


if __name__ == "__main__":
    main()
