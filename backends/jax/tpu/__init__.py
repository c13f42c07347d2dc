"""Executables for TPUs, compiled without one: libtpu knows the topologies, a process of its own compiles."""

JOB = "job.json"
"""What the process is to do, in the folder that it is given."""
WORKER = f"{__name__}.worker"
"""The module that the process runs."""
