"""How steady the expression of faces in films is, and how far it keeps up with them.

    python benchmarks/films.py talk.mp4 interview.mp4

Nobody has labelled these films. So each frame's expression is held against what the readings of a whole time around it
say on average, before and after: a label that flickers is off that, and so is one that comes late. Told for the single
readings (`as read`) and for those of `TemporalFilter`, whose label a node publishes, over faces that are seen for a
second or more: changes of the label a second, frames that agree with half a second, one and two seconds around them,
frames that are `uncertain`, and changes of the state a second.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.analyzer import FaceAnalyzer
from aue_crl_core.dynamics.smoothing import TemporalConfig, TemporalFilter
from aue_crl_core.results import read
from aue_crl_core.types import FacePrediction

_AROUND_S: Final = (0.5, 1.0, 2.0)
_LEAST_S: Final = 1.0

Course = list[tuple[float, FacePrediction, FacePrediction]]
"""A face's frames: seconds, as read, smoothed."""


def courses(film: str, analyzer: FaceAnalyzer, temporal: TemporalConfig) -> list[Course]:
    """The faces of a film that are seen for `_LEAST_S` or more."""
    smooth, faces = TemporalFilter(temporal), defaultdict[str, Course](list)
    for result in read(film, analyzer=analyzer):
        for face in result.faces:
            faces[face.face_id].append((result.frame.time_s, face, smooth.update(face, result.frame.time_s)))
    return [course for course in faces.values() if course[-1][0] - course[0][0] >= _LEAST_S]


def around(course: Course, width_s: float) -> NDArray[np.int64]:
    """Each frame's expression, by its index, in the mean of the readings of so many seconds around it."""
    times = np.array([time_s for time_s, _, _ in course])
    read_ = np.array([list(face.probabilities.values()) for _, face, _ in course])
    return np.array([read_[np.abs(times - time_s) <= width_s / 2].mean(axis=0).argmax() for time_s in times])


def table(name: str, some: Sequence[Course]) -> Iterator[str]:
    """A line for the single readings, one for the smoothed."""
    seconds = sum(course[-1][0] - course[0][0] for course in some)
    meant = {width_s: np.concatenate([around(course, width_s) for course in some]) for width_s in _AROUND_S}
    for which, what in ((1, "as read"), (2, "smoothed")):
        labels = [[list(p[which].probabilities).index(p[which].expression) for p in course] for course in some]
        changes = sum(int(np.count_nonzero(np.diff(label))) for label in labels)
        told = np.concatenate(labels)
        states = [np.array([p[which].state for p in course]) for course in some]
        uncertain = np.mean(np.concatenate(states) == "uncertain")
        turns = sum(int(np.count_nonzero(state[1:] != state[:-1])) for state in states)
        agree = " ".join(f"{100 * np.mean(told == meant[width_s]):7.1f}" for width_s in _AROUND_S)
        doubt = f"{100 * uncertain:9.1f} {turns / seconds:8.2f}"
        yield f"{name[-28:]:28} {seconds:7.1f} {what:9} {changes / seconds:9.2f} {agree} {doubt}"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", nargs="+", help="a film, or anything else that `aue-crl run` reads")
    parser.add_argument("--weights", default="edge")
    parser.add_argument("--smoothing", type=float, default=TemporalConfig().smoothing_s, help="smoothing_s, seconds")
    options = parser.parse_args()
    analyzer = FaceAnalyzer.load(options.weights)
    temporal = TemporalConfig(smoothing_s=options.smoothing, uncertain_below=analyzer.uncertain_below)
    heads = " ".join(f"{f'{width_s:g} s %':>7}" for width_s in _AROUND_S)
    print(f"{'film':28} {'seconds':>7} {'':9} {'changes/s':>9} {heads} {'uncertain':>9} {'states/s':>8}")
    every: list[Course] = []
    for film in options.film:
        some = courses(film, analyzer, temporal)
        if some:
            print(*table(film, some), sep="\n")
        else:
            print(f"{film[-28:]:28} no face for {_LEAST_S:g} s")
        every += some
    if len(options.film) > 1 and every:
        print(*table("all", every), sep="\n")


if __name__ == "__main__":
    main()
