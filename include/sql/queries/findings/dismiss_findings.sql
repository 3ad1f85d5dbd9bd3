-- A person has decided that findings need nobody to act, and says why.
UPDATE findings
SET status = 'dismissed', settled_at = now(), detail = detail || jsonb_build_object('dismissed', %(reason)s::text)
WHERE id = ANY (%(ids)s::bigint[]) AND status <> 'dismissed'
RETURNING id
