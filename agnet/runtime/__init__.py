"""What every command needs and no method: errors as exit codes, files, executors, configuration checks."""
