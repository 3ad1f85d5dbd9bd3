-- Which of some findings are open.
SELECT id FROM findings WHERE id = ANY (%(ids)s) AND status = 'open'
