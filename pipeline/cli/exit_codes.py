"""The exit codes of the commands; 0 is success."""

FAILURE = 1
USAGE_ERROR = 2
NOT_BLESSED = 3
STOPPED = 4  # What a run needs is missing, or has drifted.
BUSY = 75  # EX_TEMPFAIL of sysexits.h: try again later.
