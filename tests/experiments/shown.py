"""A program that shows what its process is."""

import atexit
import os
import sys
import time

word, *rest = sys.argv[1:]
if word == "sleep":
    time.sleep(100)
elif word == "devices":
    import jax

    print(os.getpid(), jax.device_count(), sys.argv[1:])
else:
    atexit.register(print, "at exit")
    if word == "fail":
        raise ValueError("of its own")
    if word == "exit":
        sys.exit(7)
    print("x" * int(rest[0]) if rest else "")
