-- One statement a line. A line that begins with "-" is a comment; "!" marks one that the proxy
-- refuses, "@" one that is refused after promote only, "~" one that may be as long as the file follows.
-- Strings, numbers, NULL
SELECT ifnull(NULL, 5)
SELECT ifnull(age, -1) FROM users ORDER BY id
SELECT ifnull(meta, 'none') FROM users ORDER BY id
SELECT iif(age > 18, 'adult', 'minor') FROM users ORDER BY id
SELECT iif(1, 2, 3), iif(0, 2, 3), iif(NULL, 2, 3)
SELECT instr('hello', 'l'), instr('hello', 'z'), instr(name, 'n') FROM users ORDER BY id
SELECT typeof(1), typeof(1.5), typeof('a'), typeof(NULL), typeof(x'00')
SELECT typeof(age), typeof(score), typeof(name), typeof(avatar) FROM users ORDER BY id
SELECT hex('abc'), hex(x'00ff'), hex(name) FROM users ORDER BY id
SELECT quote('it''s'), quote(5), quote(NULL), quote(x'0aff')
SELECT quote(name), quote(age) FROM users ORDER BY id
SELECT char(72, 105), unicode('A'), unicode(''), unicode('é')
SELECT substr('hello', -3), substr('hello', -3, 2), substr('hello', 2, -1), substr('hello', 0), substr('hello', 0, 3), ifnull(1, 0)
SELECT substr(name, -2), substr(name, -2, 1), substr(name, 1, 1), ifnull(1, 0) FROM users ORDER BY id
SELECT substr('hello', -10, 7), substr('hello', 4, -10), substr('hello', -1, -2), ifnull(1, 0)
SELECT total(age), total(score) FROM users
SELECT total(age) FROM users WHERE 0
SELECT group_concat(name) FROM users WHERE id < 3
SELECT group_concat(name, '; ') FROM users WHERE id < 3
SELECT group_concat(name, '-' ORDER BY id DESC) FROM users
SELECT group_concat(DISTINCT age) FROM users WHERE id IN (1, 5)
SELECT user_id, group_concat(id, '+' ORDER BY id) FROM orders GROUP BY user_id ORDER BY user_id
SELECT max(1, 2, 3), min('b', 'a'), max(1, NULL), min(1.5, 2)
SELECT max(age, 20) FROM users ORDER BY id
SELECT printf('%d-%s', 5, 'x'), printf('%05d', 42), printf('%.2f', 3.14159), printf('%5s|%-5s|', 'ab', 'cd')
SELECT printf('%.2f', 2.675), printf('%.2f', -1.005), printf('%.1f', 0.25), printf('%.0f', 2.5), printf('%.0f', 3.5), printf('%.2f', 0.125)
SELECT printf('%f', 1234567890.123456), printf('%.3f', 1e15), printf('%.2f', 0.285), printf('%.3f', 2.0005), printf('%.1f', 1e20), printf('%.2f', 5), printf('%8.1f|', 0.05)
SELECT printf('%.4f', 1.0/3), printf('%.0f', 0.5), printf('%.0f', -0.5), printf('%.0f', 1.5), printf('%.10f', 0.1)
SELECT printf('%d%%', age) FROM users WHERE age IS NOT NULL ORDER BY id
SELECT format('%s is %d', name, age), ifnull(1, 0) FROM users WHERE id < 3 ORDER BY id
SELECT printf('%,d', 1234567), printf('%x', 255), printf('%X', 255), printf('%s', NULL)
SELECT zeroblob(3), hex(zeroblob(2))
SELECT likely(1), unlikely(0), likelihood(5, 0.5)
SELECT 7 / 2, 7.0 / 2, -7 / 2, 7 % 3, -7 % 3, ifnull(7 / 0, 'null'), ifnull(1, 0)
SELECT ifnull(5 % 0, -1), ifnull(5.0 / 0, -1)
SELECT age / 2, age % 7, score / 2, ifnull(1, 0) FROM users ORDER BY id
SELECT '5' + 3, '5abc' + 3, 'abc' + 1, '1.5' + 1, '' + 1, ifnull(1, 0)
SELECT 5 || 'x', 1.5 || 'y', 'a' || NULL, 1 || 2, ifnull(1, 0)
SELECT age || ' years' FROM users WHERE ifnull(age, 0) > 0 ORDER BY id
SELECT score || '' FROM users WHERE ifnull(id, 0) > 0 ORDER BY id
SELECT 1 = 1, 1 = 2, 1 = '1', 'a' < 'b', NULL = NULL, ifnull(1, 0)
SELECT 1 IS 1, 1 IS NULL, NULL IS NULL, 'a' IS 'a', 'a' IS NOT 'b'
SELECT age IS 31 FROM users ORDER BY id
SELECT name FROM users WHERE age IS NOT 31 ORDER BY id
SELECT name FROM users WHERE email IS 'bob@example.org'
SELECT 1 == 1, 2 <> 3, 2 != 2, ifnull(1, 0)
SELECT NOT 5, NOT 0, NOT NULL, ifnull(1, 0)
SELECT 5 AND 0, 5 OR 0, 0 OR NULL, 0 AND NULL, ifnull(1, 0)
SELECT +5, -5, ~5, - -5, ifnull(1, 0)
SELECT 5 & 3, 5 | 3, 1 << 4, 256 >> 2, ifnull(1, 0)
SELECT 0x1F, 1e3, .5, 5., ifnull(1, 0)
SELECT abs(-5), abs(-1.5), abs(NULL), abs('-3')
SELECT round(2.5), round(-2.5), round(1.005, 2), round(123.456, 1), round(7), ifnull(1, 0)
SELECT round(score, 1), ifnull(1, 0) FROM users ORDER BY id
SELECT sign(-3), sign(0), sign(2.5), ifnull(1, 0)
SELECT length(12345), length('héllo'), length(x'0102'), length(NULL)
SELECT length(avatar), length(age), ifnull(1, 0) FROM users ORDER BY id
SELECT upper('aé'), lower('AÉ'), ifnull(1, 0)
SELECT trim('  a '), ltrim('xxa', 'x'), rtrim('axx', 'x'), replace('abcabc', 'b', 'X'), ifnull(1, 0)
SELECT nullif(1, 1), nullif(1, 2), nullif('a', 'b'), ifnull(1, 0)
SELECT coalesce(NULL, NULL, 3), coalesce(age, 0) + ifnull(1, 0) FROM users ORDER BY id
SELECT CAST('12abc' AS INTEGER), CAST('abc' AS INTEGER), CAST(3.9 AS INTEGER), CAST(-3.9 AS INTEGER), ifnull(1, 0)
SELECT CAST('1.5xyz' AS REAL), CAST(5 AS TEXT), CAST(5 AS REAL), CAST(NULL AS TEXT), ifnull(1, 0)
SELECT CAST(1.0 AS TEXT), CAST(1e20 AS TEXT), CAST(0.1 AS TEXT), CAST(100.0 AS TEXT), ifnull(1, 0)
SELECT CAST('abc' AS BLOB), CAST(x'616263' AS TEXT), ifnull(1, 0)
SELECT 0.1 + 0.2, 1.0 * 3, 10 - 2.5, ifnull(1, 0)
SELECT true, false, true + 1, ifnull(1, 0)
SELECT active + 0, active * 10, ifnull(1, 0) FROM users ORDER BY id
SELECT concat('a', NULL, 5), concat_ws('-', 'a', NULL, 'b'), ifnull(1, 0)
SELECT octet_length('é'), ifnull(1, 0)
SELECT sqrt(16), pow(2, 10), power(2, 0.5), exp(0), ln(1), pi(), ifnull(sqrt(-1), 'null')
SELECT ceil(1.2), floor(-1.2), trunc(1.9), mod(7, 3), log10(100), log2(8), log(3, 9), ifnull(1, 0)
SELECT CASE age WHEN 31 THEN 'a' WHEN 17 THEN 'b' ELSE 'c' END, ifnull(1, 0) FROM users ORDER BY id
SELECT CASE WHEN age THEN 'yes' ELSE 'no' END, ifnull(1, 0) FROM users ORDER BY id
SELECT CASE WHEN 1 THEN 1 ELSE 2.5 END, ifnull(1, 0)
-- LIKE, GLOB
SELECT name FROM users WHERE name LIKE 'ANN' AND ifnull(1, 0) ORDER BY id
SELECT name FROM users WHERE name LIKE 'a%' AND ifnull(1, 0) ORDER BY id
SELECT name FROM users WHERE name NOT LIKE '%n%' AND ifnull(1, 0) ORDER BY id
SELECT name FROM users WHERE name LIKE '%\_\%' ESCAPE '\' AND ifnull(1, 0) ORDER BY id
SELECT 'É' LIKE 'é', 'A' LIKE 'a', 5 LIKE 5, ifnull(1, 0)
SELECT name FROM users WHERE name GLOB 'A*' ORDER BY id
SELECT name FROM users WHERE name GLOB '[A-Z]nn' ORDER BY id
SELECT name FROM users WHERE name NOT GLOB '*n*' ORDER BY id
SELECT 'abc' GLOB 'a?c', 'abc' GLOB '[^b]bc', 'a.c' GLOB 'a.c', 'axc' GLOB 'a.c', 'a]c' GLOB 'a[]]c'
SELECT like('a%', 'ABC'), glob('A*', 'ABC')
SELECT note FROM orders WHERE note LIKE 'bulk' AND qty GLOB '1*' ORDER BY id
-- Names
SELECT [name], `age` FROM [users] ORDER BY `id`
SELECT NAME, Users.AGE FROM USERS WHERE ifnull(Age, 0) = 17
SELECT u.[name] FROM users AS u WHERE u.ID = 1
SELECT "Id", [the value] FROM "mixed case" ORDER BY 1
SELECT rowid, name FROM users ORDER BY rowid LIMIT 2
SELECT oid, _rowid_ FROM users WHERE rowid = 3
SELECT users.rowid FROM users WHERE users.rowid IN (1, 2) ORDER BY 1
SELECT main.users.name FROM main.users WHERE ifnull(id, 0) = 1
SELECT name AS n FROM users WHERE n = 'bob'
SELECT age * 2 AS twice FROM users WHERE twice > 50 ORDER BY twice, id
SELECT age AS a, count(*) FROM users GROUP BY a HAVING a > 20 AND ifnull(1, 0) ORDER BY a
-- LIMIT
SELECT id FROM users ORDER BY id LIMIT 2, 3
SELECT id, ifnull(1, 0) FROM users ORDER BY id LIMIT -1 OFFSET 4
SELECT id FROM users ORDER BY ifnull(age, 0), id LIMIT 3
SELECT id FROM users ORDER BY id LIMIT 1 + 1
-- NULL order, text order
SELECT age FROM users ORDER BY ifnull(NULL, age), id
SELECT id, score FROM users WHERE ifnull(1, 0) ORDER BY score
SELECT id, score FROM users WHERE ifnull(1, 0) ORDER BY score DESC
SELECT name FROM users WHERE ifnull(1, 0) ORDER BY name
SELECT name FROM users WHERE ifnull(1, 0) ORDER BY name COLLATE NOCASE, id
SELECT name FROM users WHERE ifnull(1, 0) ORDER BY age DESC NULLS LAST, id
SELECT id FROM users WHERE name = 'ANN' COLLATE NOCASE ORDER BY id
SELECT max(name), min(name), ifnull(1, 0) FROM users
-- Affinity
SELECT id FROM users WHERE age = '31' AND ifnull(1, 0) ORDER BY id
SELECT id FROM users WHERE age = 'x' AND ifnull(1, 0)
SELECT id FROM users WHERE age < 'x' AND ifnull(1, 0) ORDER BY id
SELECT k FROM kv WHERE v = 1
SELECT k FROM kv WHERE v > 1 ORDER BY k
SELECT k FROM kv WHERE v = n ORDER BY k
SELECT k FROM kv WHERE v + 0 = 2
SELECT id FROM users WHERE active
SELECT id FROM users WHERE active = 1 ORDER BY id
SELECT id FROM users WHERE active = 0 ORDER BY id
SELECT id FROM users WHERE NOT active ORDER BY id
SELECT id FROM users WHERE active IS NULL AND ifnull(1, 0)
SELECT id FROM users WHERE balance > '10' AND ifnull(1, 0) ORDER BY id
SELECT id FROM users WHERE balance IN (10, '0') AND ifnull(1, 0) ORDER BY id
SELECT id FROM users WHERE age IN ('31', 17) AND ifnull(1, 0) ORDER BY id
SELECT id FROM users WHERE age NOT IN (31) AND ifnull(1, 0) ORDER BY id
SELECT id FROM users WHERE age BETWEEN '10' AND 35 AND ifnull(1, 0) ORDER BY id
SELECT id FROM users WHERE id IN () OR ifnull(0, 1)
SELECT id FROM users WHERE name IN (SELECT name FROM users WHERE age IS 31) ORDER BY id
SELECT id FROM users WHERE id IN (SELECT user_id FROM orders WHERE qty > '2') AND ifnull(1, 0) ORDER BY id
SELECT id FROM users WHERE id NOT IN (SELECT user_id FROM orders) AND ifnull(1, 0) ORDER BY id
SELECT balance, balance + 1, balance * 2, ifnull(1, 0) FROM users ORDER BY id
SELECT balance / 2, ifnull(1, 0) FROM users ORDER BY id
SELECT typeof(balance), ifnull(1, 0) FROM users ORDER BY id
SELECT 'b=' || balance FROM users WHERE ifnull(1, 0) ORDER BY id
SELECT sum(balance), avg(balance), min(balance), max(balance), ifnull(1, 0) FROM users
SELECT (1, 2) = (1, 2), (1, 2) < (1, 3), (2, 1) < (1, 3), ifnull(1, 0)
SELECT a, b FROM pairs WHERE (a, b) IN (SELECT 1, 'q') AND ifnull(1, 0)
SELECT id FROM users WHERE (age, name) = (31, 'Ann') AND ifnull(1, 0)
-- Aggregates
SELECT count(*), count(age), count(DISTINCT age), sum(age), avg(age), ifnull(1, 0) FROM users
SELECT sum(age > 20), sum(name LIKE 'a%') FROM users
SELECT sum(active), ifnull(1, 0) FROM users
SELECT sum(score), sum(age) / 2, ifnull(1, 0) FROM users
SELECT age, name, max(score), ifnull(1, 0) FROM users GROUP BY age ORDER BY age
SELECT name, min(age), ifnull(1, 0) FROM users
SELECT active, count(*), ifnull(1, 0) FROM users GROUP BY active ORDER BY active
SELECT count(*) FILTER (WHERE ifnull(age, 0) > 20) FROM users
SELECT avg(qty), sum(price * qty), ifnull(1, 0) FROM orders
SELECT user_id, sum(qty), ifnull(1, 0) FROM orders GROUP BY 1 HAVING sum(qty) > 2 ORDER BY 2 DESC
SELECT strftime('%Y-%m', placed) AS month, count(*) FROM orders GROUP BY month ORDER BY month
-- Joins, subqueries, CTEs, set operations
SELECT u.name, o.qty, ifnull(1, 0) FROM users u JOIN orders o ON o.user_id = u.id ORDER BY o.id
SELECT u.name, count(o.id), ifnull(1, 0) FROM users u LEFT JOIN orders o ON o.user_id = u.id GROUP BY u.id ORDER BY u.id
SELECT u.name, ifnull(o.note, '-') FROM users u, orders o WHERE o.user_id = u.id ORDER BY o.id
SELECT a.id, b.id, ifnull(1, 0) FROM users a JOIN users b USING (age) WHERE a.id < b.id
SELECT * FROM (SELECT id, age FROM users WHERE ifnull(age, 0) > 20) WHERE id > 1 ORDER BY id
SELECT x FROM (SELECT ifnull(age, 0) AS x FROM users) ORDER BY x, 1
SELECT (SELECT name FROM users WHERE ifnull(age, 0) = 31 ORDER BY id), ifnull(1, 0)
SELECT EXISTS (SELECT 1 FROM orders WHERE qty > 5), ifnull(1, 0)
SELECT name FROM users u WHERE EXISTS (SELECT 1 FROM orders WHERE user_id = u.id) AND ifnull(1, 0) ORDER BY id
WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 5) SELECT group_concat(x, ',' ORDER BY x) FROM c
WITH c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3) SELECT x, ifnull(1, 0) FROM c
WITH t AS (SELECT ifnull(age, 0) AS a FROM users) SELECT max(a), min(a) FROM t
SELECT ifnull(1, 0) UNION SELECT 2 UNION ALL SELECT 2 ORDER BY 1
SELECT age FROM users EXCEPT SELECT ifnull(31, 0) ORDER BY 1
SELECT id FROM users INTERSECT SELECT user_id FROM orders WHERE ifnull(1, 0) ORDER BY 1
SELECT name FROM users WHERE ifnull(1, 0) UNION SELECT note FROM orders ORDER BY 1
SELECT DISTINCT age, ifnull(1, 0) FROM users ORDER BY age
SELECT * FROM pairs NATURAL JOIN (SELECT 1 AS a, ifnull('extra', 0) AS d) ORDER BY c
-- Windows
SELECT id, row_number() OVER (ORDER BY ifnull(age, 0), id) FROM users ORDER BY id
SELECT id, rank() OVER (ORDER BY age), ifnull(1, 0) FROM users ORDER BY id
SELECT id, sum(qty) OVER (PARTITION BY user_id ORDER BY id), ifnull(1, 0) FROM orders ORDER BY id
SELECT id, lag(qty) OVER (ORDER BY id), lead(qty, 1, 0) OVER w, ifnull(1, 0) FROM orders WINDOW w AS (ORDER BY id) ORDER BY id
SELECT id, total(price) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM orders ORDER BY id
SELECT id, first_value(note) OVER (ORDER BY id), ntile(2) OVER (ORDER BY id), ifnull(1, 0) FROM orders ORDER BY id
-- Dates
SELECT datetime('2024-01-31 10:00:00', '+1 month'), datetime('2024-01-31', '+1 day'), date('2024-02-29', '+1 year')
SELECT date('2024-01-31'), time('2024-01-31 12:13:14'), datetime('2024-01-31T12:13:14')
SELECT date('2024-03-15', 'start of month'), date('2024-03-15', 'start of year'), datetime('2024-03-15 12:00', 'start of day')
SELECT date('2024-03-15', 'start of month', '+1 month', '-1 day')
SELECT date('2024-03-15', 'weekday 0'), date('2024-03-15', 'weekday 5'), date('2024-03-15', 'weekday 1')
SELECT date('junk'), datetime(NULL), date('2024-13-01'), ifnull(1, 0)
SELECT julianday('2024-01-01'), julianday('2024-01-01 12:00:00')
SELECT unixepoch('2024-01-01'), unixepoch('2024-01-01 00:00:01')
SELECT datetime(1704067200, 'unixepoch'), date(1704067200, 'unixepoch', '+1 day'), datetime(2460310.5)
SELECT strftime('%Y/%m/%d %H:%M:%S', '2024-01-31 10:05:09'), strftime('%j %w %s', '2024-02-01'), strftime('%%', '2024-01-01')
SELECT strftime('%d.%m.%Y', created) FROM users ORDER BY id
SELECT date(created), time(created), strftime('%H:%M', created) FROM users ORDER BY id
SELECT datetime(created, '+1 hour'), datetime(created, '-1 month'), date(born, '+18 years') FROM users ORDER BY id
SELECT id FROM users WHERE created > datetime('2024-02-01') ORDER BY id
SELECT id FROM users WHERE created >= date('2024-03-15') ORDER BY id
SELECT id FROM users WHERE date(created) = '2024-02-29'
SELECT id FROM users WHERE strftime('%Y', created) = '2024' ORDER BY id
SELECT id FROM users WHERE created < '2024-01-01' AND ifnull(1, 0) ORDER BY id
SELECT id FROM users WHERE created BETWEEN '2024-01-01' AND '2024-02-29 23:59:59' AND ifnull(1, 0) ORDER BY id
SELECT id FROM users WHERE born = '1993-02-28' AND ifnull(1, 0)
SELECT CAST(strftime('%Y', created) AS INTEGER) - 2000 FROM users ORDER BY id
SELECT julianday(created) - julianday(born) > 365 FROM users ORDER BY id
SELECT CAST((julianday('2024-03-01') - julianday('2024-02-01')) AS INTEGER)
SELECT datetime('now') > '2020-01-01', date('now') = date(CURRENT_TIMESTAMP), length(datetime('now'))
SELECT strftime('%s', 'now') - strftime('%s', 'now')
SELECT count(*) FROM users WHERE created < datetime('now', '-1 day')
SELECT min(created), max(born), ifnull(1, 0) FROM users
SELECT substr(created, 1, 7), count(*), ifnull(1, 0) FROM users GROUP BY 1 ORDER BY 1
SELECT created || '!', length(born), typeof(created) FROM users ORDER BY id
SELECT datetime('2024-01-31 10:00:00', '+02:30'), datetime('2024-01-31 10:00:00+02:00'), datetime('2024-01-31 10:00:00Z')
SELECT time('10:11'), datetime('10:11:12'), date('2024-01-31', '+1 days', '-3 hours', '+15 minutes')
SELECT strftime('%Y-W%W', '2024-01-01'), strftime('%u', '2024-01-07'), strftime('%f', '2024-01-01 00:00:01.5'), strftime('%e %k', '2024-01-05 07:00')
-- JSON
SELECT json_extract(meta, '$.a') FROM users WHERE id IN (1, 2, 4) ORDER BY id
SELECT json_extract(meta, '$.b.c[1]'), json_extract(meta, '$.s'), json_extract(meta, '$.t'), json_extract(meta, '$.z') FROM users WHERE id = 1
SELECT json_extract(meta, '$.b.c'), json_extract(meta, '$.r'), json_extract(meta, '$.nope') FROM users WHERE id = 1
SELECT meta -> '$.a', meta ->> '$.a', meta -> 's', meta ->> 's' FROM users WHERE id = 1
SELECT id FROM users WHERE json_extract(meta, '$.a') = 10
SELECT id FROM users WHERE json_extract(meta, '$.a') = 'one'
SELECT id FROM users WHERE id <> 6 AND id <> 5 AND json_extract(meta, '$.a') > 5 ORDER BY id
SELECT json_type(meta), json_type(meta, '$.a') FROM users WHERE id IN (1, 2) ORDER BY id
SELECT json_array_length(meta), json_array_length('[1,2,3]'), json_array_length('{"a":[1]}', '$.a') FROM users WHERE id = 5
SELECT json_array(1, 'two', NULL, 2.5), json_object('a', 1, 'b', 'x')
SELECT json_group_array(id ORDER BY id) FROM users
SELECT json_group_array(name ORDER BY id) FROM users WHERE id < 3
SELECT value, ifnull(1, 0) FROM json_each('[10,20,30]')
SELECT key, value, type FROM json_each('{"a":1,"b":"x"}')
SELECT u.id, e.value FROM users u, json_each(u.meta, '$.b.c') e WHERE u.id = 1
SELECT json_quote('a"b'), json_quote(5)
SELECT typeof(json_extract(meta, '$.a')) FROM users WHERE id < 3 ORDER BY id
SELECT json_extract('{"a":5}', '$.a') + 1
@SELECT json_set('{"a":1}', '$.b', 2)
@SELECT json_patch('{"a":1}', '{"b":2}')
-- Values that nobody freezes the same twice
SELECT random() IS NOT NULL, typeof(random()), length(randomblob(4))
SELECT count(*) FROM (SELECT id, random() AS r FROM users ORDER BY r) WHERE ifnull(1, 0)
-- Schema
SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name
SELECT type, name, tbl_name FROM sqlite_schema WHERE type = 'index' AND name = 'orders_user'
SELECT count(*) FROM sqlite_master WHERE name = 'users'
-- Refused
!SELECT name REGEXP 'a' FROM users
!SELECT datetime('now', 'localtime')
!ATTACH DATABASE 'x.db' AS x
!DETACH DATABASE x
!VACUUM INTO 'copy.db'
!SELECT load_extension('x')
!SELECT rowid FROM pairs
!SELECT id FROM users WHERE created < '2024' AND ifnull(1, 0)
!SELECT CASE WHEN age THEN avatar ELSE 5 END FROM users
!PRAGMA user_version
!PRAGMA foreign_keys = OFF
!INSERT OR FAIL INTO kv VALUES ('f', 'f', 1)
!UPDATE OR REPLACE kv SET k = 'x'
!CREATE TRIGGER g AFTER INSERT ON kv BEGIN SELECT 1; END
!CREATE VIRTUAL TABLE f USING fts5(a)
SELECT round(2.675, 2), round(8.345, 2), round(0.285, 2), round(5.015, 2), round(-2.675, 2), round(0.0005, 3), round(1e16, 2), round(0.5, 0), round(-2.5, -1), ifnull(1, 0)
SELECT round(score * 1.005, 3), round(score, 6), ifnull(1, 0) FROM users ORDER BY id
SELECT printf('[%5s]', 'é'), printf('[%-5s]', 'éa'), printf('%x', -5), printf('%X', 255)
SELECT printf('%x|%4s', age, name) FROM users ORDER BY id
SELECT date(1000000000000, 'unixepoch'), date('9999-12-31', '+1 day'), date('9999-12-31', '+1 day', '-1 day'), datetime('2024-01-31 24:00:00'), datetime('2024-01-30 24:30:00'), time('24:00')
SELECT date('2024-02-29', 'start of month'), date('2024-02-29', '+1 month'), date('2024-02-31', '+1 day'), date('2024-02-29', '+1 year')
