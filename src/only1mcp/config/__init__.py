"""The configuration file: its types (model), its reader (load), its templates."""
