"""Von Neumann and CFL analysis, bounds and simulation of the PDEs behind convolutional layers."""
