"""Object detection and instance segmentation: torchvision's detectors around any backbone."""
