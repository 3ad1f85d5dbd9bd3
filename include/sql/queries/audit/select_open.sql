-- Which of some findings somebody must act on.
SELECT id FROM findings WHERE id = ANY (%(ids)s) AND status = 'open'
