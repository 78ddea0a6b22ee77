-- As a hand-written SQLite application makes its tables.
CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE, age INTEGER,
  score REAL, active BOOLEAN, created DATETIME, born DATE, balance DECIMAL(10,2), meta TEXT, avatar BLOB);
INSERT INTO users VALUES
 (1,'Ann','ann@example.org',31,1.5,1,'2024-01-31 10:00:00','1993-02-28',19.99,'{"a":1,"b":{"c":[1,2,3]},"s":"x","t":true,"z":null,"r":1.5}',x'00ff10'),
 (2,'bob','bob@example.org',17,2.25,0,'2024-02-29 23:59:59','2007-07-01',0,'{"a":"one","b":{}}',NULL),
 (3,'Émile','e@example.org',NULL,NULL,NULL,NULL,NULL,NULL,NULL,x''),
 (4,'ann','ann2@example.org',45,-0.5,1,'2023-12-31 12:30:15','1979-12-31',-5.5,'{"a":10}',NULL),
 (5,'Zoë_%','z@example.org',31,100.0,0,'2024-03-15 08:05:09','1993-11-11',1234567.89,'[1,"two",null]',x'41'),
 (6,'','empty@example.org',0,0.1,1,'2024-03-15 08:05:09','2024-03-15',10,'"just text"',NULL);
CREATE TABLE orders(id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  qty INT NOT NULL DEFAULT 1, price REAL, note VARCHAR(40), placed TIMESTAMP);
INSERT INTO orders(user_id, qty, price, note, placed) VALUES
 (1,2,9.5,'first','2024-02-01 09:00:00'),(1,1,100.25,NULL,'2024-02-10 19:30:00'),
 (2,7,3.0,'Rush %','2024-02-11 00:00:00'),(4,3,12.5,'gift','2024-03-01 12:00:00'),
 (5,10,0.99,'bulk','2023-11-30 06:00:00'),(5,1,5000.0,'Bulk','2024-03-02 06:00:00');
CREATE TABLE kv(k TEXT PRIMARY KEY, v TEXT, n INTEGER DEFAULT 0);
INSERT INTO kv VALUES ('one','1',1),('two','2x',2),('three',NULL,3);
CREATE TABLE "Mixed Case"("Id" INTEGER PRIMARY KEY, "The Value" TEXT);
INSERT INTO "Mixed Case" VALUES (1,'x'),(2,'Y');
CREATE TABLE pairs(a INTEGER, b TEXT, c INTEGER, PRIMARY KEY(a, b));
INSERT INTO pairs VALUES (1,'p',10),(1,'q',20),(2,'p',30);
CREATE INDEX orders_user ON orders(user_id);
