"""`aue-crl run` on real images and on videos made of them."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from running import FRAMES, rows_of, run


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photograph_path) -> Path:
    """The photograph twice, a part of it, one picture without a face, and a text file."""
    folder = tmp_path_factory.mktemp("images")
    data = photograph_path.read_bytes()
    (folder / "a1.jpg").write_bytes(data)
    (folder / "a2.jpg").write_bytes(data)
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2])
    sky = cv2.imread(str(photograph_path))[:100, 350:]
    cv2.imwrite(str(folder / "sky.png"), sky)
    (folder / "notes.txt").write_text("not an image\n")
    return folder


def test_one_image_prints_its_face_and_a_summary(capsys, photograph_path):
    assert run(photograph_path) == 0
    captured = capsys.readouterr()
    assert "grace_hopper.jpg" in captured.out
    assert "AU" in captured.out
    assert "1 frame in " in captured.out
    assert ": 1 face; 0 frames without a face" in captured.out
    assert captured.err == ""


def test_what_goes_into_a_pipe_has_no_control_sequences_and_no_broken_rows(capsys, folder):
    run(folder / "a1.jpg")
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    (row,) = [line for line in printed.splitlines() if "a1.jpg" in line]
    assert row.count("AU") == 3


def test_a_folder_with_a_damaged_image_is_done_as_far_as_it_can_be(capsys, folder, tmp_path):
    output = tmp_path / "new" / "faces.jsonl"
    assert run(folder, "missing.jpg", "--output", output, "--overlay", f"{tmp_path}/drawn/") == 1
    captured = capsys.readouterr()
    rows = rows_of(output)
    assert [Path(row["source"]).name for row in rows] == ["a1.jpg", "a2.jpg"]
    assert rows[0]["landmarks"] == rows[1]["landmarks"]
    assert "3 frames in " in captured.out
    assert ": 2 faces; 1 frame without a face" in captured.out
    assert f"written: {output}" in captured.out
    assert "failed: missing.jpg does not exist" in captured.err
    assert f"failed: {folder}/cut.jpg is not a whole image" in captured.err
    assert "skipped 1 other files" in captured.err
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["a1.jpg", "a2.jpg", "sky.jpg"]


def test_images_analysed_together_give_what_each_gives_alone(folder, tmp_path):
    assert run(f"{folder}/a*.jpg", folder / "sky.png", "-o", tmp_path / "together.jsonl") == 0
    assert run(folder / "a2.jpg", "-o", tmp_path / "alone.jsonl") == 0
    together, alone = rows_of(tmp_path / "together.jsonl")[1], rows_of(tmp_path / "alone.jsonl")[0]
    assert together["box"] == alone["box"]
    assert together["probabilities"] == pytest.approx(alone["probabilities"], abs=2e-4)


@pytest.mark.parametrize("overlay", ["a.jpg", "../here/a.jpg", ".", ""])
def test_no_overlay_is_drawn_over_a_photograph(capsys, photograph_path, tmp_path, overlay):
    here = tmp_path / "here"
    here.mkdir()
    (here / "a.jpg").write_bytes(photograph_path.read_bytes())
    assert run(here / "a.jpg", "--overlay", here / overlay) == 2
    assert "a.jpg would be overwritten" in capsys.readouterr().err.replace("\n", "")
    assert [path.read_bytes() for path in here.iterdir()] == [photograph_path.read_bytes()]


def test_no_overlay_is_drawn_over_a_film_but_its_frames_may_lie_beside_it(video_path, tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(video_path.read_bytes())
    assert run(film, "--overlay", film) == 2
    assert film.read_bytes() == video_path.read_bytes()
    assert run(film, "--overlay", tmp_path, "--every", 6) == 0
    assert film.read_bytes() == video_path.read_bytes()
    assert len(list(tmp_path.glob("film_*.jpg"))) == 2


def test_a_video_keeps_the_face_id_and_its_overlay_has_every_frame(capsys, video_path, tmp_path):
    table, drawn = tmp_path / "faces.csv", tmp_path / "drawn.mp4"
    assert run(video_path, "-o", table, "--overlay", drawn, "--detect-every", 4) == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(FRAMES))
    assert {row["face_id"] for row in rows} == {"f1"}
    assert [float(row["time_s"]) for row in rows] == pytest.approx([i / 25 for i in range(FRAMES)], abs=1e-3)
    moved = float(rows[0]["box_x"]) - float(rows[-1]["box_x"])
    assert moved == pytest.approx(2 * (FRAMES - 1), abs=6)
    assert "12 faces in 1 track" in capsys.readouterr().out
    pictures = frames_of(drawn)
    assert len(pictures) == FRAMES
    assert pictures[0].shape[0] == 480
    assert pictures[0].shape[1] > 480


def test_a_range_of_a_video_has_the_frames_of_the_whole(video_path, tmp_path):
    for name, options in (("whole", []), ("part", ["--start", "0:00:00.12", "--end", "0.36", "--every", 2])):
        assert run(video_path, "-o", tmp_path / f"{name}.jsonl", *options) == 0
    assert [row["frame"] for row in rows_of(tmp_path / "part.jsonl")] == [3, 5, 7]
    at = {row["frame"]: row["time_s"] for row in rows_of(tmp_path / "whole.jsonl")}
    assert all(row["time_s"] == at[row["frame"]] for row in rows_of(tmp_path / "part.jsonl"))


def test_every_frame_of_a_video_has_a_row_where_that_is_asked_for(video_path, tmp_path):
    assert run(video_path, "-o", tmp_path / "faces.jsonl", "--every-frame", "--min-face", 600) == 0
    rows = rows_of(tmp_path / "faces.jsonl")
    assert [(row["frame"], row["success"]) for row in rows] == [(i, False) for i in range(FRAMES)]
    (log,) = json.loads((tmp_path / "faces.jsonl.frames.json").read_text())
    assert log["frames"] == log["frames_without_face"] == FRAMES


def test_a_live_view_shows_every_film_to_whoever_looks(video_path, monkeypatch, capsys):
    """A viewer that comes as soon as the browser is opened is told of the last frame too."""
    told: list[bytes] = []

    def look(url: str) -> None:
        answer = urllib.request.urlopen(f"{url}readings", timeout=60)
        viewers.append(threading.Thread(target=lambda: told.extend(answer)))
        viewers[-1].start()

    viewers: list[threading.Thread] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", look)
    assert run(video_path, "--view", "--view-address", "127.0.0.1:0") == 0
    viewers[0].join(60)
    samples = [json.loads(line[6:]) for line in told if line.startswith(b"data: ")]
    assert samples[-1]["number"] == FRAMES
    assert [face["id"] for face in samples[-1]["faces"]] == ["f1"]
    assert samples[-1]["latency"] > 0
    assert "live view: http://127.0.0.1:" in capsys.readouterr().err


def test_in_private_no_output_shows_a_face(capfd, video_path, tmp_path):
    raw, smoothed, events = (tmp_path / name for name in ("raw.jsonl", "smoothed.csv", "events.jsonl"))
    assert run(video_path, "--private", "-o", raw, "--smoothed", smoothed, "--events", events) == 0
    assert run(video_path, "--private", "-o", "-") == 0
    piped = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    assert len(rows_of(raw)) == len(piped) == FRAMES
    assert not [row for row in (*rows_of(raw), *piped, *rows_of(events)) if "landmarks" in row]
    header = smoothed.read_text().splitlines()[0].split(",")
    assert "au_12" in header
    assert not [column for column in header if column.startswith(("x_", "y_"))]


def test_two_videos_never_share_an_id(video_path, tmp_path):
    again = tmp_path / "again.mp4"
    again.write_bytes(video_path.read_bytes())
    assert run(video_path, again, "-o", tmp_path / "faces.jsonl") == 0
    rows = rows_of(tmp_path / "faces.jsonl")
    ids = {source: {row["face_id"] for row in rows if row["source"] == str(source)} for source in (video_path, again)}
    assert ids == {video_path: {"f1"}, again: {"g1"}}


@pytest.mark.parametrize("option", ["--output=faces.jsonl", "--output=faces.parquet", "--overlay=drawn.mp4"])
def test_a_full_disk_is_said_in_one_line(capsys, monkeypatch, photograph_path, tmp_path, disk_with, option):
    if option.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    with disk_with(800):
        assert run(photograph_path, option) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert f"{option.partition('=')[2]} cannot be written any further: " in line


def test_a_place_that_takes_nothing_is_said_in_one_line(capsys, photograph_path, tmp_path):
    (tmp_path / "faces.jsonl").symlink_to("/dev/full")
    assert run(photograph_path, "-o", tmp_path / "faces.jsonl") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}/faces.jsonl cannot be written any further: No space left on device")


def test_parquet_holds_the_same_as_jsonl(folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("faces.parquet", "faces.jsonl"):
        assert run(folder / "a1.jpg", "-o", tmp_path / name) == 0
    (typed,) = parquet.read_table(tmp_path / "faces.parquet").to_pylist()
    (plain,) = rows_of(tmp_path / "faces.jsonl")
    assert typed["action_units"] == pytest.approx(plain["action_units"])
    assert typed["expression"] == plain["expression"]


def test_a_dash_writes_jsonl_to_standard_output_and_the_summary_beside_it(photograph_path):
    command = [sys.executable, "-m", "aue_crl_core", "run", str(photograph_path), "-o", "-", "--threads", "1"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    (row,) = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(row["landmarks"]) == 68
    assert "1 frame in " in ran.stderr


def test_detector_none_takes_the_whole_image_for_a_face(photograph, tmp_path):
    crop = tmp_path / "crop.png"
    cv2.imwrite(str(crop), cv2.cvtColor(photograph[130:350, 155:375], cv2.COLOR_RGB2BGR))
    assert run(crop, "--detector", "none", "-o", tmp_path / "faces.jsonl") == 0
    assert len(rows_of(tmp_path / "faces.jsonl")) == 1


@pytest.mark.parametrize("inside", [0.0, 0.1])
def test_a_picture_that_is_all_face_is_read_without_being_told(photograph, tmp_path, inside):
    x, y, w, h = 163, 160, 190, 171
    left, top = int(inside * w), int(inside * h)
    crop = photograph[y + top : y + h - top, x + left : x + w - left, ::-1]
    cv2.imwrite(str(tmp_path / "crop.png"), crop)
    assert run(tmp_path / "crop.png", "-o", tmp_path / "faces.jsonl") == 0
    assert len(rows_of(tmp_path / "faces.jsonl")) == 1


def test_where_no_face_is_found_the_way_to_read_crops_is_named(capsys, folder):
    assert run(folder / "sky.png") == 0
    assert "--detector none" in capsys.readouterr().out


def test_a_face_below_the_smallest_one_asked_for_is_not_searched(photograph_path, tmp_path):
    assert run(photograph_path, "--min-face", 400, "-o", tmp_path / "faces.jsonl") == 0
    assert rows_of(tmp_path / "faces.jsonl") == []


def test_nothing_usable_is_a_failure_with_a_reason(capsys, folder, tmp_path):
    assert run("missing.jpg", folder / "notes.txt") == 1
    complaint = capsys.readouterr().err
    assert "missing.jpg does not exist" in complaint
    assert "notes.txt is neither a video by its name nor an image by its content" in complaint
    assert "error: nothing to do" in complaint
    assert run(folder / "cut.jpg") == 1
    assert "error: not one frame could be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--output", "faces.xlsx"], "must end in .jsonl, .csv or .parquet"),
        (["--overlay", "one.png"], "--overlay must be a folder or an .mp4 file"),
        (["--overlay", "one.gif2"], "an overlay must end in"),
        (["--device", "cuda:99"], "device"),
        (["--detector", "cascade", "--detector-model", "x.onnx"], "only 'yunet' takes a file"),
        (["--detector-model", "x.onnx"], "x.onnx"),
        (["--min-face", "-1"], "min_face_px must be above 0"),
        (["--start", "9", "--end", "3"], "end must be after start (9 seconds)"),
        (["--start", "-2"], "--start must be seconds or h:mm:ss"),
        (["--end", "5 min"], "--end must be seconds or h:mm:ss"),
        (["--events", "e.csv"], "--smoothed, --events, --neutral and --view must be of films and cameras"),
        (["--neutral", "2"], "--neutral must be given beside --smoothed, --events, --overlay or --view"),
        (["--neutral", "2", "--overlay", "drawn/"], "--neutral and --view must be of films and cameras"),
        (["--private", "--overlay", "drawn/"], "--overlay must be left out with --private"),
        (["--every", "2"], "a range of frames must be of films and cameras"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_read(
    capsys, monkeypatch, folder, tmp_path, arguments, complaint
):
    monkeypatch.chdir(tmp_path)
    assert run(folder, *arguments) == 2
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_two_cameras_are_refused(capsys):
    assert run("0", "1") == 2
    assert "name one camera at most" in capsys.readouterr().err


@pytest.fixture
def network_camera(photograph_path):
    """The URL of an MJPEG stream that never ends, as network cameras give it."""
    picture = photograph_path.read_bytes()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                while True:
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    self.wfile.write(head.encode() + picture + b"\r\n")
                    time.sleep(0.05)
            except ConnectionError:
                return

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/camera.mjpeg"
    server.shutdown()
    server.server_close()


def test_ctrl_c_ends_a_camera_with_its_files_whole(network_camera, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    table, drawn = tmp_path / "faces.jsonl", tmp_path / "drawn.mp4"
    command = [sys.executable, "-m", "aue_crl_core", "run", network_camera, "--threads", "1"]
    command += ["--output", str(table), "--overlay", str(drawn)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    for _ in range(1200):
        if process.poll() is not None or (table.is_file() and table.read_text().count("\n") >= 3):
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    printed, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
    assert "until Ctrl-C" in printed
    assert "Traceback" not in complaints
    rows = rows_of(table)
    assert len(rows) >= 3
    assert abs(len(frames_of(drawn)) - len(rows)) <= 1
