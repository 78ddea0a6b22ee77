//! Schemas that real libraries make on PostgreSQL by their own migrations: the same application's
//! file is copied into them, and the whole journey made.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::{Journey, Pg, Proxy, crossfade, python};

/// Runs tests/clients/NAME with arguments.
fn script(name: &str, arguments: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name);
    let output = Command::new(python())
        .arg(path)
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name} {arguments:?}:\n{text}");
}

fn assess(file: &str, url: &str) -> Value {
    let (_, out, err) = crossfade(&["assess", file, "--json", "--postgres", url]);
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"))
}

/// Id, table and part of findings above `info`, but for those about the server.
fn asked(report: &Value) -> Vec<String> {
    let text = |f: &Value, name: &str| f[name].as_str().unwrap_or("").to_owned();
    let all = report["findings"].as_array().unwrap().iter();
    let told = all.filter(|f| f["severity"] != "info" && f["table"].is_string());
    let mut list: Vec<String> = told
        .map(|f| {
            let part = text(f, "column") + &text(f, "object");
            format!("{} {} {part}", text(f, "id"), text(f, "table"))
        })
        .collect();
    list.sort();
    list
}

fn start(file: &Path, database: &str) -> Journey {
    let url = Pg::shared().cluster.url(database);
    let proxy = Proxy::on_file(file, &["--postgres", &url]);
    Journey { proxy, url, database: database.to_owned() }
}

fn shadow(journey: &Journey, sql: &str) -> String {
    Pg::shared().cluster.psql(&journey.database, sql).unwrap()
}

#[test]
fn django_migrations() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let path = file.to_str().unwrap();
    let database = Pg::shared().database("site");
    let url = Pg::shared().cluster.url(&database);
    script("django_site.py", &["migrate", path]);
    script("django_site.py", &["fill", path]);
    script("django_site.py", &["migrate", &url]);
    // Migrations fill some tables: they are named, with what to do.
    let report = assess(path, &url);
    let full: Vec<String> =
        asked(&report).into_iter().filter(|f| f.starts_with("CF0702")).collect();
    assert_eq!(
        full,
        ["CF0702 auth_permission ", "CF0702 django_content_type ", "CF0702 django_migrations "]
    );
    let journey = start(&file, &database);
    let (code, task, stderr) = journey.order(&["backfill"]);
    assert_ne!(code, 0);
    let told = format!("{}{stderr}", task["error"]["hint"].as_str().unwrap_or_default());
    let from = told.find("TRUNCATE").unwrap_or_else(|| panic!("{told}"));
    let sql = &told[from..from + told[from..].find(". ").unwrap()];
    shadow(&journey, &format!("{sql} CASCADE"));
    let report = assess(path, &url);
    let rest: Vec<String> = asked(&report);
    assert_eq!(rest, Vec::<String>::new(), "{rest:#?}");
    journey.mirror();
    script("django_site.py", &["same", path, &url]);
    shadow(&journey, "UPDATE auth_user SET email = 'x'; DELETE FROM django_session");
    assert_eq!(journey.order(&["verify"]).0, 1);
    journey.done(&["repair"]);
    journey.done(&["verify"]);
    journey.promote();
    script("django_site.py", &["edit", &journey.proxy.url()]);
    journey.rollback();
    script("django_site.py", &["edited", path]);
    journey.done(&["verify"]);
}

#[test]
fn sqlalchemy_with_types_by_dialect() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let path = file.to_str().unwrap();
    let database = Pg::shared().database("alembic");
    let url = Pg::shared().cluster.url(&database);
    script("sqlalchemy_own.py", &["fill", path]);
    script("sqlalchemy_own.py", &["schema", &url]);
    // What a later migration did on one side only.
    let more = "ALTER TABLE customer ADD tenant int NOT NULL DEFAULT 1; DROP INDEX open_orders; \
        ALTER TABLE \"order\" DROP CONSTRAINT order_number, ADD note text";
    Pg::shared().cluster.psql(&database, more).unwrap();
    let report = assess(path, &url);
    let told = asked(&report);
    for wanted in ["CF0713 order order_number", "CF0701 customer tags", "CF0701 customer email"] {
        assert!(told.iter().any(|f| f == wanted), "{wanted} in {told:#?}");
    }
    assert!(!told.iter().any(|f| f.starts_with("CF0709")), "{told:#?}");
    let journey = start(&file, &database);
    journey.mirror();
    script("sqlalchemy_own.py", &["same", path, &url]);
    shadow(
        &journey,
        "UPDATE customer SET tags = '{other}' WHERE id = 1; DELETE FROM customer WHERE id = 3; \
         INSERT INTO \"order\" SELECT gen_random_uuid(), customer_id, number, quantity, state, price, doc, \
         made, day, raw FROM \"order\" WHERE customer_id = 2",
    );
    assert_eq!(journey.order(&["verify"]).0, 1);
    journey.done(&["repair"]);
    journey.done(&["verify"]);
    script("sqlalchemy_own.py", &["same", path, &url]);
    // A unique constraint that only SQLite has needs a decision.
    assert_eq!(journey.promote_once().0, 4);
    let all = journey.get("/api/v1/divergences");
    let open = all["divergences"].as_array().unwrap().iter().filter(|d| d["state"] == "open");
    for id in open.map(|d| d["id"].as_str().unwrap()) {
        let (code, out, err) =
            journey.proxy.cli(&["divergences", "accept", id, "--reason", "known"]);
        assert_eq!(code, 0, "{out}{err}");
    }
    journey.promote();
    script("sqlalchemy_own.py", &["edit", &url]);
    journey.rollback();
    script("sqlalchemy_own.py", &["edited", path]);
    journey.done(&["verify"]);
}

/// The file as Rails makes it on SQLite.
const RAILS: &str = r#"
CREATE TABLE "schema_migrations" ("version" varchar NOT NULL PRIMARY KEY);
CREATE TABLE "users" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "email" varchar NOT NULL, "role" integer DEFAULT 0 NOT NULL, "status" varchar DEFAULT 'active', "preferences" json DEFAULT '{}', "token" varchar, "last_ip" varchar, "admin" boolean DEFAULT 0, "labels" text, "created_at" datetime(6) NOT NULL, "updated_at" datetime(6) NOT NULL);
CREATE UNIQUE INDEX "index_users_on_email" ON "users" ("email");
CREATE TABLE "posts" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "user_id" integer NOT NULL, "title" varchar, "score" decimal(8,2), "words" integer, "rating" float, "published_on" date, "opens_at" time, "body" text, "cover" blob, "views" bigint DEFAULT 0, "created_at" datetime(6) NOT NULL, "updated_at" datetime(6) NOT NULL, CONSTRAINT "fk_rails_5b5ddfd518" FOREIGN KEY ("user_id") REFERENCES "users" ("id"));
CREATE INDEX "index_posts_on_user_id" ON "posts" ("user_id");
CREATE TABLE "posts_tags" ("post_id" integer NOT NULL, "tag" varchar NOT NULL);
INSERT INTO "schema_migrations" VALUES ('20240105101112');
INSERT INTO "users" VALUES (1, 'Ada@example.org', 1, 'active', '{"theme":"dark"}', '0f8fad5b-d9cb-469f-a165-70867728950e', '10.0.0.1', 1, '["a","b"]', '2024-01-05 10:11:12.123456', '2024-01-05 10:11:12.123456');
INSERT INTO "users" VALUES (2, 'bo@example.org', 0, 'banned', NULL, NULL, NULL, 0, NULL, '2024-01-05 10:11:12', '2024-01-05 10:11:12');
INSERT INTO "posts" VALUES (1, 1, 'One', 12.5, 300, 4.25, '2024-02-29', '2000-01-01 09:30:00', 'text', x'00ff', 7, '2024-01-05 10:11:12.000001', '2024-01-05 10:11:12.000001');
INSERT INTO "posts" VALUES (2, 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, '2024-01-05 10:11:12', '2024-01-05 10:11:12');
INSERT INTO "posts_tags" VALUES (1, 'x'), (1, 'x'), (2, 'y');
"#;

/// The same application's schema on PostgreSQL, as structure.sql has it.
const STRUCTURE: &str = r#"
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TYPE user_status AS ENUM ('active', 'banned');
CREATE TABLE schema_migrations (version character varying NOT NULL PRIMARY KEY);
CREATE TABLE users (id bigserial PRIMARY KEY, email citext NOT NULL, role smallint DEFAULT 0 NOT NULL, status user_status DEFAULT 'active', preferences jsonb DEFAULT '{}'::jsonb, token uuid, last_ip inet, admin boolean DEFAULT false, labels text[], created_at timestamp(6) without time zone NOT NULL, updated_at timestamp(6) without time zone NOT NULL, search tsvector GENERATED ALWAYS AS (to_tsvector('simple', status_text(status))) STORED);
CREATE UNIQUE INDEX index_users_on_email ON users (email);
CREATE TABLE posts (id bigserial PRIMARY KEY, user_id bigint NOT NULL, title character varying(20), score numeric(8,2), words integer, rating double precision, published_on date, opens_at time, body text, cover bytea, views bigint DEFAULT 0, created_at timestamp(6) without time zone NOT NULL, updated_at timestamp with time zone NOT NULL, CONSTRAINT fk_rails_5b5ddfd518 FOREIGN KEY (user_id) REFERENCES users(id), CONSTRAINT positive CHECK (views >= 0));
CREATE INDEX index_posts_on_user_id ON posts USING btree (user_id);
CREATE INDEX index_posts_on_title ON posts USING gin (to_tsvector('simple', coalesce(title, '')));
CREATE TABLE posts_tags (post_id bigint NOT NULL, tag character varying NOT NULL);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.updated_at = now(); RETURN NEW; END';
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
"#;

#[test]
fn rails_structure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("development.sqlite3");
    rusqlite::Connection::open(&file).unwrap().execute_batch(RAILS).unwrap();
    let database = Pg::shared().database("structure");
    let url = Pg::shared().cluster.url(&database);
    let structure = STRUCTURE.replace(
        "CREATE TABLE schema_migrations",
        "CREATE FUNCTION status_text(user_status) RETURNS text LANGUAGE sql IMMUTABLE \
         AS $$SELECT 'x'::text$$;\nCREATE TABLE schema_migrations",
    );
    Pg::shared().cluster.psql(&database, &structure).unwrap();
    let report = assess(file.to_str().unwrap(), &url);
    assert_eq!(report["blocking"], 0, "{:#?}", asked(&report));
    let journey = start(&file, &database);
    journey.mirror();
    let users = "SELECT id, email, role, status, preferences, token, last_ip, admin, labels, created_at, \
                 updated_at FROM users ORDER BY id";
    assert_eq!(
        shadow(&journey, users),
        "1|Ada@example.org|1|active|{\"theme\": \"dark\"}|0f8fad5b-d9cb-469f-a165-70867728950e|10.0.0.1|t|\
         {a,b}|2024-01-05 10:11:12.123456|2024-01-05 10:11:12.123456\n\
         2|bo@example.org|0|banned||||f||2024-01-05 10:11:12|2024-01-05 10:11:12"
    );
    journey.proxy.sql("UPDATE users SET status = 'banned', labels = NULL WHERE id = 1");
    journey.proxy.sql("INSERT INTO posts_tags VALUES (2, 'y')");
    journey.proxy.sql("DELETE FROM posts_tags WHERE post_id = 1");
    // What was left untyped is typed for SQLite's columns: an error about that proves nothing.
    assert_eq!(
        journey.proxy.sql("SELECT id FROM users WHERE status = 'banned' AND token IS NULL"),
        "2"
    );
    journey.level();
    assert_eq!(shadow(&journey, "SELECT status, labels FROM users WHERE id = 1"), "banned|");
    assert_eq!(journey.status("diverged_open"), "0");
    shadow(
        &journey,
        "UPDATE users SET labels = '{}' WHERE id = 1; DELETE FROM posts; TRUNCATE posts_tags",
    );
    assert_eq!(journey.order(&["verify"]).0, 1);
    journey.done(&["repair"]);
    journey.done(&["verify"]);
    assert_eq!(shadow(&journey, "SELECT count(*) FROM posts_tags"), "2");
    journey.promote();
    journey.proxy.sql(
        "INSERT INTO users (email, labels, created_at, updated_at) \
                       VALUES ('c@example.org', '{z}', now(), now())",
    );
    journey
        .proxy
        .sql("UPDATE posts SET title = 'Two', updated_at = '2025-01-01 00:00:00+00' WHERE id = 2");
    journey.rollback();
    let stored = |sql: &str| -> String {
        rusqlite::Connection::open(&file).unwrap().query_row(sql, [], |r| r.get(0)).unwrap()
    };
    assert_eq!(
        stored("SELECT id || email || labels || status FROM users WHERE id = 3"),
        "3c@example.org[\"z\"]active"
    );
    assert_eq!(
        stored("SELECT title || updated_at FROM posts WHERE id = 2"),
        "Two2025-01-01 00:00:00"
    );
    journey.done(&["verify"]);
}
