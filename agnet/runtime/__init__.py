"""What all commands share, independent of the method: exit codes, files, executors, configuration checks."""
