"""Every table and figure of the paper, one module each, at three scales and with its claims."""
