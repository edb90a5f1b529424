"""The reviewers' page: sign in, look at the queues, judge images by keyboard.

``accounts`` knows who may sign in, ``sessions`` who has, ``desk`` what waits for whom and what was said, ``pictures``
shows staged files, ``guard`` keeps strangers out, ``app`` puts them together.
"""
