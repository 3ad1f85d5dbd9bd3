-- An instrument known by its name alone.
INSERT INTO instruments (symbol) VALUES (%(symbol)s) ON CONFLICT (symbol) DO NOTHING
