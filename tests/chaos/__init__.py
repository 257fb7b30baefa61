"""Plugins under load to which everything happens that can happen to a plugin, at random, for minutes.

    python -m tests.chaos --minutes 10
    python -m tests.chaos --seconds 8 --plugins 8 --seed 7

Half of the plugins are victims: they are killed, stopped, hung, flooded, starved and made to send rubbish.
The others are bystanders, and no call to one of them may fail. What was wrong is listed at the end, and
then the status is 1.
"""
