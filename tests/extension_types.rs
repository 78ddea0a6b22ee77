//! Columns of citext and hstore through the whole journey: copied, mirrored, verified, promoted,
//! followed and brought back.

use crate::common::{Journey, Pg, eventually};

const MADE: &str = "
    CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION pg_trgm;
    CREATE DOMAIN called AS citext CHECK (length(VALUE) > 1);
    CREATE DOMAIN nick AS called CHECK (VALUE <> 'root');
    CREATE TABLE account(email citext PRIMARY KEY, nick nick, tags citext[], more hstore DEFAULT 'a=>1',
      list hstore[]);
    CREATE TABLE message(id serial PRIMARY KEY, sender citext REFERENCES account ON UPDATE CASCADE,
      body text);
    CREATE UNIQUE INDEX ON account(nick);
    CREATE INDEX ON account USING gin (more);
    CREATE INDEX ON message USING gin (body gin_trgm_ops) WITH (fastupdate = off);
    INSERT INTO account(email, nick, tags, list) SELECT 'User' || g || '@Example.com', 'Nick' || g,
      array['A', 'b' || g]::citext[], array[hstore('k', g::text), hstore('n', null)]
      FROM generate_series(1, 30) g;
    INSERT INTO message(sender, body) SELECT 'USER' || g || '@example.COM', 'text ' || g
      FROM generate_series(1, 30) g;
";

fn all(journey: &Journey, sql: &str) -> String {
    let on = |url: &str| {
        let found = Pg::shared().tool("psql").args(["-qAtX", url, "-c", sql]).output().unwrap();
        String::from_utf8_lossy(&found.stdout).into_owned()
    };
    let (here, there) = (journey.proxy.sql(sql), on(&journey.url));
    assert_eq!(here.trim(), there.trim(), "{sql}");
    here
}

#[test]
fn types_of_extensions_make_the_whole_journey() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let mut journey = Journey::start(&file, Pg::shared(), &[]);
    journey.proxy.sql(MADE);
    journey.mirror();
    for sql in [
        "INSERT INTO account(email, nick, more) VALUES ('Later@x.org', 'Late', 'z=>1, y=>NULL')",
        "INSERT INTO account(email) VALUES ('LATER@X.org') ON CONFLICT (email) DO UPDATE SET tags = '{T}'",
        "UPDATE account SET more = more || hstore('n', email), nick = upper(nick)::nick WHERE email = 'USER3@EXAMPLE.COM'",
        "UPDATE account SET email = 'MOVED@example.com' WHERE email = 'user4@example.com'",
        "DELETE FROM message WHERE sender = 'user5@example.com'",
        "CREATE TABLE made(id int PRIMARY KEY, c citext UNIQUE DEFAULT 'None', h hstore NOT NULL DEFAULT '')",
        "INSERT INTO made(id) VALUES (1)",
        "INSERT INTO made VALUES (2, 'x', 'q=>\"1 \\\" 2\"')",
    ] {
        journey.proxy.sql(sql);
    }
    journey.level();
    journey.done(&["verify"]);
    all(&journey, "SELECT * FROM account ORDER BY email");
    all(&journey, "SELECT * FROM message ORDER BY id");
    all(&journey, "SELECT * FROM made ORDER BY id");
    all(
        &journey,
        "SELECT email FROM account WHERE email IN ('later@X.ORG', 'moved@example.com') ORDER BY 1",
    );
    all(
        &journey,
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    );
    journey.restart_with(&[]);
    journey.proxy.sql("INSERT INTO message(sender, body) VALUES ('later@X.ORG', 'after')");
    journey.level();
    journey.promote();
    journey.await_way_back();
    journey
        .proxy
        .sql("INSERT INTO account(email, nick, more) VALUES ('pg@x.org', 'On PG', 'p=>9')");
    journey.proxy.sql(
        "UPDATE account SET more = more - 'a'::text, tags = '{X,y}' WHERE email = 'LATER@x.org'",
    );
    journey.proxy.sql("DELETE FROM made WHERE c = 'NONE'");
    eventually("the file follows", || {
        let file = rusqlite::Connection::open(&file).unwrap();
        let found: i64 = file.query_row("SELECT count(*) FROM account", [], |r| r.get(0)).unwrap();
        found == 32
    });
    journey.rollback();
    journey.level();
    journey.done(&["verify"]);
    assert_eq!(journey.proxy.sql("SELECT nick FROM account WHERE email = 'PG@X.ORG'"), "On PG");
    all(&journey, "SELECT * FROM account ORDER BY email");
}
