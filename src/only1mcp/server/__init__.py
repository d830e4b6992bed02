"""The client side: HTTP and stdio edges, sessions, replies. Bytes in, bytes out."""
