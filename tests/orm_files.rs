//! Files that real libraries made on SQLite, read and written by the same models through
//! PostgreSQL's protocol: from the file, and from PostgreSQL after the copy.

use std::path::Path;
use std::process::Command;

use crate::common::{Pg, Proxy, python};

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

fn file_of(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let path = file.to_str().unwrap();
    script(name, &["make", path]);
    let database = Pg::shared().database("orm");
    let url = Pg::shared().cluster.url(&database);
    let proxy = Proxy::on_file(&file, &["--postgres", &url]);
    // Every field as the library itself reads it from the file.
    script(name, &["read", path, &proxy.url()]);
    script(name, &["write", &proxy.url()]);
    // What PostgreSQL's side of it wrote, SQLite's side reads.
    script(name, &["written", path]);
    let (code, out, err) = proxy.cli(&["backfill"]);
    assert_eq!(code, 0, "{out}{err}\n{}", proxy.log());
    assert!(out.contains(" 0 in quarantine"), "{out}");
    let (code, out, err) = proxy.cli(&["verify"]);
    assert_eq!(code, 0, "{out}{err}\n{}", proxy.log());
    // The same from PostgreSQL itself.
    script(name, &["read", path, &url]);
}

#[test]
fn django() {
    file_of("django_file.py");
}

#[test]
fn sqlalchemy() {
    file_of("sqlalchemy_file.py");
}

/// What Rails 7 sends to make its tables on SQLite.
const RAILS: &str = r#"
CREATE TABLE "schema_migrations" ("version" varchar NOT NULL PRIMARY KEY);
CREATE TABLE "ar_internal_metadata" ("key" varchar NOT NULL PRIMARY KEY, "value" varchar, "created_at" datetime(6) NOT NULL, "updated_at" datetime(6) NOT NULL);
CREATE TABLE "authors" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "name" varchar NOT NULL, "email" varchar(120), "admin" boolean DEFAULT 0 NOT NULL, "settings" json DEFAULT '{}', "token" varchar(36), "born_on" date, "created_at" datetime(6) NOT NULL, "updated_at" datetime(6) NOT NULL);
CREATE TABLE "books" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "author_id" integer NOT NULL, "editor_type" varchar, "editor_id" integer, "title" text, "price" decimal(10,2), "weight" decimal, "rating" float, "cover" blob, "pages" bigint, "opens_at" time, "published" boolean, "created_at" datetime(6) NOT NULL, "updated_at" datetime(6) NOT NULL, CONSTRAINT "fk_rails_53d51ce16a" FOREIGN KEY ("author_id") REFERENCES "authors" ("id"));
CREATE INDEX "index_books_on_author_id" ON "books" ("author_id");
CREATE INDEX "index_books_on_editor" ON "books" ("editor_type", "editor_id");
CREATE UNIQUE INDEX "index_authors_on_email" ON "authors" ("email");
INSERT INTO "schema_migrations" VALUES ('20240105101112'), ('20240106101112');
INSERT INTO "ar_internal_metadata" VALUES ('environment', 'development', '2024-01-05 10:11:12.123456', '2024-01-05 10:11:12.123456');
INSERT INTO "authors" ("name", "email", "admin", "settings", "token", "born_on", "created_at", "updated_at") VALUES
  ('Ada', 'ada@example.org', 1, '{"theme":"dark","n":[1,2]}', '0f8fad5b-d9cb-469f-a165-70867728950e', '1815-12-10', '2024-01-05 10:11:12.123456', '2024-02-29 23:59:59.999999'),
  ('Bö', NULL, 0, '{}', NULL, NULL, '2024-01-05 10:11:12', '2024-01-05 10:11:12');
INSERT INTO "books" ("author_id", "editor_type", "editor_id", "title", "price", "weight", "rating", "cover", "pages", "opens_at", "published", "created_at", "updated_at") VALUES
  (1, 'Author', 2, 'Notes', 12.5, 0.1, 4.25, x'00ff10', 9223372036854775807, '2000-01-01 09:30:00', 1, '2024-01-05 10:11:12.000001', '2024-01-05 10:11:12.000001'),
  (2, NULL, NULL, NULL, NULL, 3, NULL, NULL, NULL, '2000-01-01 23:59:59.500000', 0, '2024-01-05 10:11:12', '2024-01-05 10:11:12');
DELETE FROM "books" WHERE 0;
"#;

/// Each field as Active Record's types read it, from whichever side.
const RAILS_READ: &[(&str, &str)] = &[
    (
        "SELECT id, name, email, admin, settings->>'theme', token, born_on, created_at, updated_at \
         FROM authors ORDER BY id",
        "1|Ada|ada@example.org|t|dark|0f8fad5b-d9cb-469f-a165-70867728950e|1815-12-10|\
         2024-01-05 10:11:12.123456|2024-02-29 23:59:59.999999\n\
         2|Bö||f||||2024-01-05 10:11:12|2024-01-05 10:11:12",
    ),
    (
        "SELECT id, author_id, editor_type, editor_id, title, price, weight, rating, cover, pages, \
         opens_at, published, created_at FROM books ORDER BY id",
        "1|1|Author|2|Notes|12.50|0.1|4.25|\\x00ff10|9223372036854775807|09:30:00|t|\
         2024-01-05 10:11:12.000001\n\
         2|2||||||3||||23:59:59.5|f|2024-01-05 10:11:12",
    ),
    ("SELECT version FROM schema_migrations ORDER BY 1", "20240105101112\n20240106101112"),
    (
        "SELECT key, value, created_at FROM ar_internal_metadata",
        "environment|development|2024-01-05 10:11:12.123456",
    ),
    (
        "SELECT table_name, column_name, data_type FROM information_schema.columns \
         WHERE table_name IN ('authors', 'books') AND column_name IN ('admin', 'settings', 'price', \
         'weight', 'rating', 'cover', 'pages', 'opens_at', 'created_at', 'born_on', 'token') \
         ORDER BY 1, 2",
        "authors|admin|boolean\nauthors|born_on|date\n\
         authors|created_at|timestamp without time zone\nauthors|settings|json\n\
         authors|token|character varying\nbooks|cover|bytea\n\
         books|created_at|timestamp without time zone\nbooks|opens_at|time without time zone\n\
         books|pages|bigint\nbooks|price|numeric\nbooks|rating|double precision\n\
         books|weight|numeric",
    ),
];

#[test]
fn rails() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("development.sqlite3");
    rusqlite::Connection::open(&file).unwrap().execute_batch(RAILS).unwrap();
    let database = Pg::shared().database("rails");
    let url = Pg::shared().cluster.url(&database);
    let proxy = Proxy::on_file(&file, &["--postgres", &url]);
    let (code, out, err) = proxy.cli(&["backfill"]);
    assert_eq!(code, 0, "{out}{err}\n{}", proxy.log());
    let (code, out, err) = proxy.cli(&["verify"]);
    assert_eq!(code, 0, "{out}{err}\n{}", proxy.log());
    let shadow = |sql: &str| Pg::shared().cluster.psql(&database, sql).unwrap();
    for (sql, wanted) in RAILS_READ {
        let wanted = wanted.replace("||||||3", "|||||3");
        assert_eq!(proxy.sql(sql), wanted, "{sql}");
        assert_eq!(shadow(sql), wanted, "{sql}");
    }
    let indexes = "SELECT string_agg(indexname, ',' ORDER BY indexname) FROM pg_indexes \
                   WHERE schemaname = 'public' AND indexname LIKE 'index%'";
    let names = "index_authors_on_email,index_books_on_author_id,index_books_on_editor";
    assert_eq!(shadow(indexes), names);
    let key = "SELECT confrelid::regclass, convalidated FROM pg_constraint \
               WHERE conname = 'fk_rails_53d51ce16a'";
    assert_eq!(shadow(key), "authors|t");
    // What the schema fills in.
    let insert = "INSERT INTO authors (name, created_at, updated_at) VALUES ('x', now(), now()) \
                  RETURNING id, admin, settings";
    assert_eq!(proxy.sql(insert), "3|f|{}");
    let shown = "SELECT pg_get_serial_sequence('books', 'id') IS NOT NULL";
    assert_eq!(shadow(shown), "t");
}

/// A dump of the shadow, taken while it follows, is a database.
#[test]
fn a_shadow_that_follows_is_dumped_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let sql = "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT UNIQUE);
        CREATE TABLE c(id INTEGER PRIMARY KEY AUTOINCREMENT, p INTEGER REFERENCES p(id), n NUMERIC(8,2));
        CREATE VIEW named AS SELECT c.id, upper(p.name) AS name FROM c JOIN p ON p.id = c.p;
        CREATE TRIGGER made AFTER INSERT ON c BEGIN
          UPDATE p SET name = name || '+' WHERE id = NEW.p; END;
        WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 500)
          INSERT INTO p SELECT i, 'n' || i FROM s;
        INSERT INTO c(p, n) SELECT id, id / 4.0 FROM p;";
    rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    let pg = Pg::shared();
    let database = pg.database("dumped");
    let proxy = Proxy::on_file(&file, &["--postgres", &pg.cluster.url(&database)]);
    let (code, out, err) = proxy.cli(&["backfill"]);
    assert_eq!(code, 0, "{out}{err}");
    let dump = folder.path().join("dump");
    let run = |program: &str, arguments: &[&str]| {
        let output = pg.tool(program).args(arguments).output().expect("the program runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {told}");
    };
    std::thread::scope(|scope| {
        // It goes on following meanwhile.
        let writer = scope.spawn(|| {
            for n in 0..40 {
                proxy.sql(&format!("INSERT INTO c(p, n) VALUES ({}, 1)", n + 1));
            }
        });
        let url = pg.cluster.url(&database);
        run("pg_dump", &["-Fc", "-f", dump.to_str().unwrap(), &url]);
        writer.join().unwrap();
    });
    let restored = pg.database("restored");
    let restored_url = pg.cluster.url(&restored);
    run("pg_restore", &["-d", &restored_url, dump.to_str().unwrap()]);
    let at = |database: &str, sql: &str| pg.cluster.psql(database, sql).unwrap();
    let rows: u64 = at(&restored, "SELECT count(*) FROM c").parse().unwrap();
    assert!((500..=540).contains(&rows), "{rows}");
    // The same rows as the shadow has, as far as the dump goes.
    let sum =
        format!("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM c t WHERE id <= {rows}");
    assert_eq!(at(&restored, &sum), at(&database, &sum));
    let view = format!("SELECT count(*) FROM named WHERE id <= {rows}");
    assert_eq!(at(&restored, &view), rows.to_string());
    let keys = "SELECT string_agg(conname || convalidated::text, ',' ORDER BY conname) \
                FROM pg_constraint WHERE connamespace = 'public'::regnamespace";
    assert_eq!(at(&restored, keys), at(&database, keys));
    let next = "SELECT nextval(pg_get_serial_sequence('c', 'id')) > (SELECT max(id) FROM c)";
    assert_eq!(at(&restored, next), "t");
    let (code, out, err) = proxy.cli(&["verify"]);
    assert_eq!(code, 0, "{out}{err}");
    // The application's tables alone are a database as well.
    run(
        "pg_dump",
        &["-Fc", "-n", "public", "-f", dump.to_str().unwrap(), &pg.cluster.url(&database)],
    );
    let only = pg.database("only");
    run(
        "pg_restore",
        &["--clean", "--if-exists", "-d", &pg.cluster.url(&only), dump.to_str().unwrap()],
    );
    assert_eq!(at(&only, "SELECT count(*) FROM c"), at(&database, "SELECT count(*) FROM c"));
}

/// `init --django` takes what the project's own settings say.
#[test]
fn the_settings_of_a_django_project_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("shop")).unwrap();
    std::fs::write(folder.path().join("shop/__init__.py"), "").unwrap();
    let settings = "from pathlib import Path\nBASE = Path(__file__).resolve().parent.parent\n\
        SECRET_KEY = 'x'\nDATABASES = {\n\
        'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': BASE / 'db.sqlite3'},\n\
        'new': {'ENGINE': 'django.db.backends.postgresql', 'HOST': 'db', 'USER': 'app',\n\
        'PASSWORD': 's3cret', 'NAME': 'shop'}}\n";
    std::fs::write(folder.path().join("shop/settings.py"), settings).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_crossfade"))
        .args(["init", "--django", "shop.settings", "--python"])
        .arg(python())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let made = std::fs::read_to_string(folder.path().join("proxy.toml")).unwrap();
    assert!(made.contains("db.sqlite3"), "{made}");
    assert!(made.contains("postgres://app@db/shop") && !made.contains("s3cret"), "{made}");
}
