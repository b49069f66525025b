"""Settings: one TOML file, secrets from the environment or from files it names."""
