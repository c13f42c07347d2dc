"""The lessons of ``docs/lessons`` as programs: each makes its data, trains, measures, and draws what its page shows."""
