DROP TRIGGER IF EXISTS add_to_held ON {table};
DROP TRIGGER IF EXISTS remove_from_held ON {table};
DROP TRIGGER IF EXISTS move_in_held ON {table};
DROP TRIGGER IF EXISTS empty_held ON {table};
