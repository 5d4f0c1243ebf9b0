"""Python workers for Beam's runners: a pool of them, and the program that starts one."""
