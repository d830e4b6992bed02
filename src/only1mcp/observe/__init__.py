"""What the gateway tells about itself: logs, who called what, and tasks."""
