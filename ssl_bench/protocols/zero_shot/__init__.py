"""Classification by the names of the classes, for networks with a text tower."""
