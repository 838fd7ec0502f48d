"""Rosbags, read and written again. Importing these needs the package rosbags, not ROS."""
