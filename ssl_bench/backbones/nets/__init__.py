"""Networks that timm and torchvision do not have, one kind a file."""
