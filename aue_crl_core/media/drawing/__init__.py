"""From predictions to pictures for people."""
