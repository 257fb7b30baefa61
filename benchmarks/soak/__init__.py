"""Many sessions at once for minutes, with everything that can happen to them happening at random.

    python -m benchmarks.soak --minutes 5
    python -m benchmarks.soak --seconds 10 --seed 7

Every byte that a session writes or is given says where it belongs, so that one lost, repeated or moved
byte is noticed by each viewer, and every gap is checked to the byte. What is left over at the end
(processes, descriptors, threads, tasks) is named. The status is 1 when anything was wrong.
"""
