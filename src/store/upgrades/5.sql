-- From version 4 to 5: the leaves that are no full run yet stand in `sequence`, whose page every commit writes anyway.

ALTER TABLE sequence ADD COLUMN n_leaves INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sequence ADD COLUMN leaves BLOB NOT NULL DEFAULT x'';

-- The leaves' own runs are those below the second tier; a full one has 126 hashes of 32 bytes.
UPDATE sequence SET (n_leaves, leaves) =
    (SELECT id * 126 + length(hashes) / 32, CASE WHEN length(hashes) < 126 * 32 THEN hashes ELSE x'' END
     FROM tree WHERE id < 1 << 48 ORDER BY id DESC LIMIT 1)
WHERE EXISTS (SELECT 1 FROM tree);
DELETE FROM tree WHERE id = (SELECT max(id) FROM tree WHERE id < 1 << 48) AND length(hashes) < 126 * 32;
