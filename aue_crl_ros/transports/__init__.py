"""The node's middleware: what it asks for, and who answers: rclpy, or plain DDS."""
