"""What the gateway tells about itself: logs and tasks now, metrics and events later."""
