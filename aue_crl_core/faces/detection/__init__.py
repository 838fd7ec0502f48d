"""Where the faces are: one protocol (`working.FaceDetector`), several detectors, and looks at the turned image."""
