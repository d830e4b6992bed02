"""Arguments to commands to exit codes. Nothing else prints."""
