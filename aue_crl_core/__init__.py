"""Facial expressions and action units from camera images (AUE-CRL, ICRA 2021), without ROS or DDS."""
