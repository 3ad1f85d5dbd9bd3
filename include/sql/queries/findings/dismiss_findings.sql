-- Record that a person dismissed findings, and why.
UPDATE findings
SET status = 'dismissed', settled_at = now(), detail = detail || jsonb_build_object('dismissed', %(reason)s::text)
WHERE id = ANY (%(ids)s::bigint[]) AND status <> 'dismissed'
RETURNING id
