-- The claim is free again, if it is still ours.
DELETE FROM claims WHERE lock_class = %(lock_class)s AND lock_key = %(lock_key)s AND holder = %(holder)s
