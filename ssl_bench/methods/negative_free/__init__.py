"""Methods that need no negatives."""
