"""ROS4HRI (REP-155): faces as topics under /humans/faces, and as input from there."""
