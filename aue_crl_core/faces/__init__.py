"""Finding faces, following them, their points, and the crops that the network sees."""
