"""For all tests in Python."""
import signal

# A test run in the background of a script begins with SIGINT ignored, and so would every program it starts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
