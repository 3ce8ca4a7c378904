"""Print the Landlock ABI of the running kernel, 0 if it has none (landlock_create_ruleset(2), flag VERSION)."""

import ctypes

LANDLOCK_CREATE_RULESET = 444
print(max(0, ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1)))
