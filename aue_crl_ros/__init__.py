"""Thin adapters between `aue_crl_core` and ROS 2: the same node on rclpy and on plain DDS."""
