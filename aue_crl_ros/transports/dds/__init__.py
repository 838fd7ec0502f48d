"""The transport on plain DDS (cyclonedds), with the wire names, types and QoS of ROS 2."""
