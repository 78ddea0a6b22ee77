-- Statements that change rows, and queries that show what they did. Marks as in reads.sql.
-- What stands behind "==>" is for an SQLite that is built without LIMIT in changes.
INSERT OR REPLACE INTO kv(k, v, n) VALUES ('one', 'uno', 11)
INSERT OR REPLACE INTO kv(k, v, n) VALUES ('four', 'quattro', 4)
REPLACE INTO kv VALUES ('two', 'due', 22)
INSERT OR IGNORE INTO kv(k, v) VALUES ('one', 'ignored'), ('five', 'cinque')
INSERT OR ABORT INTO kv(k, v) VALUES ('six', 'sei')
SELECT * FROM kv ORDER BY k, ifnull(1, 0)
INSERT INTO kv(k, v) VALUES ('one', 'eins') ON CONFLICT(k) DO UPDATE SET v = ifnull(excluded.v, kv.v) || '!'
INSERT INTO kv(k, v, n) VALUES ('seven', 'sette', 7) ON CONFLICT(k) DO NOTHING RETURNING k, ifnull(n, 0)
INSERT INTO kv(k, v, n) VALUES ('one', 'x', 1) ON CONFLICT(k) DO UPDATE SET n = n + excluded.n WHERE ifnull(excluded.n, 0) > 0
UPDATE kv SET v = upper(v) || ifnull(n, 0) WHERE k LIKE 'T%'
UPDATE kv SET n = n + 1 WHERE ifnull(v, '') = ''
UPDATE kv SET n = iif(n > 10, 10, n)
SELECT * FROM kv ORDER BY k, ifnull(1, 0)
INSERT OR REPLACE INTO users(id, name, email, age) VALUES (6, 'Six', 'six@example.org', 6)
INSERT OR REPLACE INTO users(id, name, email, age, active) VALUES (2, 'Thief', 'bob@example.org', 1, 1)
SELECT id, name, email, age, active FROM users WHERE ifnull(1, 0) ORDER BY id
SELECT count(*) FROM orders WHERE ifnull(user_id, 0) = 2
INSERT INTO orders VALUES (NULL, 1, 5, ifnull(NULL, 2.5), 'auto', datetime('2024-05-01 10:00:00'))
SELECT id, user_id, qty, price, note, placed FROM orders WHERE ifnull(note, '') = 'auto'
SELECT last_insert_rowid()
INSERT INTO users(name, email, active, created, born, balance, avatar) VALUES ('New', 'n@example.org', ifnull(NULL, 1), datetime('2024-06-01 01:02:03'), date('2024-06-01'), 5.25, x'0102')
SELECT name, active, created, born, balance, avatar FROM users WHERE ifnull(email, '') = 'n@example.org'
UPDATE users SET active = 0 WHERE name = 'New' AND ifnull(1, 0)
UPDATE users SET active = NOT active WHERE ifnull(id, 0) = 1
UPDATE users SET balance = balance + ifnull(NULL, 1) WHERE id IN (1, 2, 4)
UPDATE users SET created = datetime(created, '+1 day'), age = ifnull(age, 0) + 1 WHERE id < 6
UPDATE users SET score = round(score * 3, 1) WHERE ifnull(score, 0) > 0
SELECT name, age, score, active, created, balance FROM users WHERE ifnull(1, 0) ORDER BY id
UPDATE users SET name = (SELECT group_concat(k, '' ORDER BY k) FROM kv) WHERE id = 5
UPDATE orders SET note = u.name FROM users u WHERE u.id = orders.user_id AND ifnull(orders.note, '') = ''
UPDATE orders SET qty = qty + 1 WHERE ifnull(1, 0)
UPDATE orders SET qty = qty + 1 WHERE ifnull(id, 0) = 5 RETURNING id, qty > 5
DELETE FROM orders ORDER BY id DESC LIMIT 1 ==> DELETE FROM orders WHERE id IN (SELECT id FROM orders ORDER BY id DESC LIMIT 1)
UPDATE orders SET note = 'limited' ORDER BY qty DESC LIMIT 2 ==> UPDATE orders SET note = 'limited' WHERE id IN (SELECT id FROM orders ORDER BY qty DESC LIMIT 2)
SELECT id, qty, note FROM orders WHERE ifnull(1, 0) ORDER BY id
DELETE FROM kv WHERE k GLOB 's*'
DELETE FROM kv WHERE ifnull(n, 0) = 0 RETURNING k
SELECT k FROM kv ORDER BY k, ifnull(1, 0)
DELETE FROM pairs WHERE (a, b) IN (SELECT 1, ifnull('p', 'q'))
SELECT * FROM pairs ORDER BY ifnull(a, 0), b
INSERT OR REPLACE INTO pairs(a, b, c) SELECT a, b, c + 1 FROM pairs
INSERT INTO pairs(a, b, c) SELECT id, substr(name, -1), ifnull(age, 0) FROM users WHERE id = 1
SELECT * FROM pairs ORDER BY ifnull(a, 0), b
BEGIN IMMEDIATE
UPDATE pairs SET c = ifnull(c, 0) + 100
SAVEPOINT [my point]
DELETE FROM pairs WHERE ifnull(1, 0)
ROLLBACK TO [my point]
RELEASE [my point]
COMMIT
SELECT * FROM pairs ORDER BY ifnull(a, 0), b
BEGIN EXCLUSIVE
DELETE FROM pairs WHERE ifnull(1, 0)
ROLLBACK
SELECT count(*) FROM pairs WHERE ifnull(1, 0)
CREATE TABLE IF NOT EXISTS log(id INTEGER PRIMARY KEY AUTOINCREMENT, at DATETIME DEFAULT (datetime('now')), what VARCHAR(10) NOT NULL, n INT DEFAULT 5, ok BOOLEAN DEFAULT 1, CHECK (n > 0))
INSERT INTO log(what) VALUES ('a'), ('b')
~INSERT OR IGNORE INTO log(id, what, n) VALUES (1, 'dup', 2)
~SELECT id, what, n, ok, ifnull(at, '') > '2020' FROM log ORDER BY id
CREATE INDEX IF NOT EXISTS [log what] ON log(what COLLATE BINARY DESC)
CREATE TABLE [strict one](a INTEGER PRIMARY KEY, b TEXT) STRICT
~INSERT INTO [strict one] VALUES (1, 'x'), (2, 'y')
~SELECT b FROM [strict one] ORDER BY a DESC
CREATE TABLE wr(k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID
~REPLACE INTO wr VALUES ('a', x'01'), ('b', x'02')
~REPLACE INTO wr VALUES ('a', x'03')
~SELECT k, hex(v) FROM wr ORDER BY k
ALTER TABLE log ADD COLUMN extra DATETIME
ALTER TABLE `log` RENAME COLUMN `n` TO `m`
~SELECT id, m, extra FROM log WHERE ifnull(1, 0) ORDER BY id
DROP TABLE [strict one]
DROP TABLE IF EXISTS [nothing there]
