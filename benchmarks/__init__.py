"""What a call, a launch, an idle plugin and a session cost, as ratios to floors and peers of the same run.

    python -m benchmarks                 all rows, as tables, JSON and pictures
    python -m benchmarks --quick rtt     one row, roughly
    python -m benchmarks profile         where the time of calls, sessions and a cold start goes
    python -m benchmarks.sampling        the same by samples, kept beside the results
    python -m benchmarks.page, .plot     tables and pictures from the results that are kept
    python -m benchmarks.soak            many sessions at once, at random: is anything lost or left?

Every contestant (the bare loops that are the floors, this project, the systems one would pick instead)
runs in a driver process of its own. Drivers take the same orders, one at a time, in rounds, so that
whatever else the machine does falls on all of them alike.
"""
