"""Processes that run one network each while another process gives them turns.

Thread pools that idle in one process slow each other, so whatever is compared by time has a process of its own:
``python -m netwright.driver.contenders KIND JOB`` (see `__main__`).
"""
