"""What a node tells the user while it runs."""

import logging

logger = logging.getLogger(__name__)


def tell(message: str, *, name: str, level: int = logging.INFO) -> None:
    """Tells the user something about a node, on the screen and in the log.

    The log record carries the message as its attribute `told`.

    Args:
      message: What follows the name of the node or model, without a full stop.
      name: How to call that.
      level: Of the log record.
    """
    logger.log(level, "%s: %s", name, message, extra={"told": message})


def note(message: str, *, name: str) -> None:
    """Tells the user what a node notes about the data; arguments as in `tell`."""
    tell(f"notes: {message}", name=name)
