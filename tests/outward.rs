//! Views and triggers of the file itself: translated for PostgreSQL, where they do the same.

use std::path::Path;

use crate::common::{Journey, Pg, crossfade};

const FILE: &str = "
    CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT NOT NULL, credit INTEGER NOT NULL DEFAULT 0,
      changed TEXT);
    CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, qty INTEGER NOT NULL,
      price NUMERIC(10,2), at DATETIME);
    CREATE TABLE log(id INTEGER PRIMARY KEY, what TEXT, of INTEGER, was TEXT, became TEXT);
    CREATE TABLE total(customer INTEGER PRIMARY KEY, orders INTEGER NOT NULL, qty INTEGER NOT NULL);

    CREATE VIEW spent AS SELECT c.id AS id, upper(c.name) || '!' AS shown, count(o.id) AS orders,
      total(o.qty) AS qty FROM customer c LEFT JOIN orders o ON o.customer = c.id GROUP BY c.id;
    CREATE VIEW top AS SELECT shown, ifnull(orders, 0) AS n, substr(shown, 1, 2) AS head
      FROM spent WHERE orders > 0 ORDER BY n DESC, shown LIMIT 5;
    CREATE VIEW [plain] AS SELECT id, price, at, date(at) AS day, qty > 2 AS many FROM orders;

    CREATE TRIGGER order_made AFTER INSERT ON orders BEGIN
      INSERT INTO log(what, of, became) VALUES ('order', NEW.id, NEW.qty || 'x' || NEW.price);
      UPDATE total SET orders = orders + 1, qty = qty + NEW.qty WHERE customer = NEW.customer;
    END;
    CREATE TRIGGER order_gone AFTER DELETE ON orders WHEN OLD.qty > 1 BEGIN
      INSERT INTO log(what, of, was) VALUES ('gone', OLD.id, ifnull(OLD.price, 'none'));
      DELETE FROM log WHERE what = 'order' AND of = OLD.id;
    END;
    CREATE TRIGGER order_right BEFORE INSERT ON orders BEGIN
      SELECT CASE WHEN NEW.qty < 0 THEN RAISE(ABORT, 'a quantity below zero')
        WHEN NEW.qty = 0 THEN RAISE(ABORT, 'it''s nothing') END;
      SELECT RAISE(IGNORE) WHERE NEW.qty > 1000;
    END;
    CREATE TRIGGER order_known BEFORE INSERT ON orders
      WHEN NOT EXISTS (SELECT 1 FROM customer WHERE id = NEW.customer) BEGIN
      SELECT RAISE(ABORT, 'no such customer');
    END;
    CREATE TRIGGER customer_new AFTER INSERT ON customer BEGIN
      INSERT INTO total VALUES (NEW.id, 0, 0);
    END;
    CREATE TRIGGER customer_changed AFTER UPDATE OF name, credit ON customer
      WHEN OLD.name IS NOT NEW.name OR OLD.credit <> NEW.credit BEGIN
      INSERT INTO log(what, of, was, became) VALUES ('name', NEW.id, OLD.name, NEW.name);
    END;
    CREATE TRIGGER customer_stamped AFTER UPDATE ON customer BEGIN
      UPDATE customer SET changed = 'by ' || NEW.name, credit = NEW.credit WHERE id = NEW.id;
    END;

    CREATE TRIGGER total_counts AFTER UPDATE ON total BEGIN
      INSERT INTO log(what, was) SELECT 'totals', count(*) FROM total;
    END;
    CREATE TRIGGER spent_written INSTEAD OF INSERT ON spent BEGIN
      INSERT INTO customer(name) VALUES (NEW.shown);
    END;
    CREATE VIEW strange AS SELECT printf('%q', name) AS q, sqlite_version() AS v FROM customer;
    INSERT INTO customer(id, name) VALUES (1, 'ada'), (2, 'bob');
    INSERT INTO orders VALUES (1, 1, 3, 9.50, '2024-01-05 10:00:00'), (2, 2, 1, NULL, NULL);
    UPDATE customer SET name = 'Bob' WHERE id = 2;";

/// A column whose values come in two spellings.
const SPELLED: &str = "
    CREATE TABLE visit(id INTEGER PRIMARY KEY, at DATETIME, day DATE);
    INSERT INTO visit VALUES (1, '2024-01-05T10:00:00', '2024-01-05'), (2, '2024-01-05 10:00:00', '2024-01-05');
    CREATE VIEW visits AS SELECT at, count(*) AS n FROM visit GROUP BY at;
    CREATE VIEW days AS SELECT date(at) AS day, count(*) AS n FROM visit GROUP BY date(at);";

/// What a client does; `base` keeps the keys of two runs apart.
fn work(base: u32) -> Vec<String> {
    let (a, b) = (base + 1, base + 2);
    vec![
        format!("INSERT INTO customer(id, name) VALUES ({a}, 'eve'), ({b}, 'mia')"),
        format!(
            "INSERT INTO orders VALUES ({a}, {a}, 2, 1.25, '2024-02-01 08:00:00'), \
             ({b}, {a}, 5, NULL, NULL), ({}, {b}, 2000, 1, NULL)",
            base + 3
        ),
        format!("INSERT INTO orders VALUES ({}, {a}, -1, 1, NULL)", base + 4),
        format!("INSERT INTO orders VALUES ({}, {a}, 0, 1, NULL)", base + 4),
        format!("INSERT INTO orders VALUES ({}, {}, 1, 1, NULL)", base + 4, base + 99),
        format!("UPDATE customer SET name = name || '!', credit = credit + 1 WHERE id > {base}"),
        format!("UPDATE customer SET credit = credit WHERE id > {base}"),
        format!("UPDATE orders SET qty = 3 WHERE id = {a}"),
        format!("DELETE FROM orders WHERE id IN ({a}, {b})"),
    ]
}

/// Everything there is to see of a run, by keys that do not depend on it.
fn seen(journey: &Journey, base: u32) -> String {
    let sql = [
        format!(
            "SELECT id - {base}, name, credit, changed FROM customer WHERE id > {base} ORDER BY 1"
        ),
        format!("SELECT id - {base}, qty, price, at FROM orders WHERE id > {base} ORDER BY 1"),
        format!(
            "SELECT what, of - {base}, was, became FROM log WHERE of > {base} ORDER BY 1, 2, 3, 4"
        ),
        format!(
            "SELECT customer - {base}, orders, qty FROM total WHERE customer > {base} ORDER BY 1"
        ),
        format!("SELECT id - {base}, shown, orders, qty FROM spent WHERE id > {base} ORDER BY 1"),
        format!("SELECT id - {base}, price, at, day, many FROM plain WHERE id > {base} ORDER BY 1"),
    ];
    sql.iter().map(|sql| journey.proxy.sql(sql)).collect::<Vec<_>>().join("\n--\n")
}

/// Runs it; each answer or error, then what there is.
fn ran(journey: &Journey, base: u32) -> String {
    let mut told = Vec::new();
    for sql in work(base) {
        let (code, out, err) = journey.proxy.psql_with(&["-v", "VERBOSITY=verbose"], &sql);
        // Where a function raised it is PostgreSQL's affair.
        let line = err.lines().next().unwrap_or_default().to_owned();
        told.push(format!("{code} {out} {line}"));
        told.push(seen(journey, base));
    }
    told.join("\n")
}

fn served(sql: &str) -> (tempfile::TempDir, Journey) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    let journey = Journey::start(&file, Pg::shared(), &[]);
    (folder, journey)
}

fn shadow(journey: &Journey, sql: &str) -> String {
    Pg::shared().cluster.psql(&journey.database, sql).unwrap()
}

#[test]
fn views_and_triggers_do_the_same_before_and_after_promote() {
    let (_folder, journey) = served(FILE);
    let copy = journey.copy();
    let told = copy.to_string();
    // What PostgreSQL cannot have is named, with the reason.
    for (object, reason) in [
        ("orders trigger \\\"order_right\\\"", ""),
        ("total trigger \\\"total_counts\\\"", "looks at its own table"),
        ("spent trigger \\\"spent_written\\\"", "INSTEAD OF"),
        ("strange view", "by hand"),
    ] {
        let there = told.contains(&format!("note on {object}"));
        assert_eq!(there, !reason.is_empty(), "{object}: {told}");
        assert!(told.contains(reason), "{reason}: {told}");
    }
    journey.await_status("phase", "mirroring");
    let views = "SELECT string_agg(viewname, ',' ORDER BY viewname) FROM pg_views \
                 WHERE schemaname = 'public'";
    assert_eq!(shadow(&journey, views), "plain,spent,top");
    let count = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal";
    assert_eq!(shadow(&journey, count), "7");
    let before = ran(&journey, 100);
    journey.done(&["verify"]);
    assert_eq!(
        shadow(&journey, "SELECT count(*) FROM log WHERE of > 100"),
        journey.proxy.sql("SELECT count(*) FROM log WHERE of > 100")
    );
    let open = journey.get("/api/v1/divergences");
    // The triggers that PostgreSQL has not need a decision.
    for object in ["trigger \"total_counts\"", "trigger \"spent_written\""] {
        let all = open["divergences"].as_array().unwrap();
        let group = all.iter().find(|g| g["columns"][0] == format!("missing {object}").as_str());
        let id = group.unwrap_or_else(|| panic!("{object}: {open}"))["id"].as_str().unwrap();
        let (code, _, error) =
            journey.order(&["divergences", "accept", id, "--reason", "done by the application"]);
        assert_eq!(code, 0, "{error}");
    }
    assert_eq!(open["divergences"].as_array().map(Vec::len), Some(2), "{open}");
    for view in ["spent", "top", "plain"] {
        let sql = format!("SELECT * FROM {view}");
        let sorted = |rows: String| {
            let mut rows: Vec<String> = rows.lines().map(str::to_owned).collect();
            rows.sort();
            rows
        };
        assert_eq!(sorted(shadow(&journey, &sql)), sorted(journey.proxy.sql(&sql)), "{view}");
    }
    journey.promote();
    let after = ran(&journey, 200);
    assert_eq!(before, after);
    assert!(after.contains("P0001: it's nothing"), "{after}");
    // The way back gets what PostgreSQL's triggers did, and SQLite's act again.
    journey.rollback();
    journey.done(&["verify"]);
    assert!(ran(&journey, 300).contains("no such customer"));
    journey.done(&["verify"]);
}

#[test]
fn a_change_of_the_schema_passes_views_that_read_the_table() {
    let (_folder, journey) = served(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, n INTEGER, x TEXT); CREATE TABLE b(id INTEGER PRIMARY KEY);
         CREATE VIEW v AS SELECT id, ifnull(x, '-') AS x FROM a; CREATE VIEW w AS SELECT id FROM b;
         INSERT INTO a VALUES (1, 2, NULL);",
    );
    journey.mirror();
    assert_eq!(shadow(&journey, "SELECT x FROM v"), "-");
    journey.proxy.sql("ALTER TABLE a ALTER COLUMN n TYPE numeric");
    journey.proxy.sql("DROP VIEW w");
    journey.proxy.sql("DROP TABLE b");
    journey.proxy.sql("INSERT INTO a VALUES (2, 3, 'y')");
    journey.done(&["verify"]);
    assert_eq!(shadow(&journey, "SELECT string_agg(x, ',' ORDER BY id) FROM v"), "-,y");
    let gone = "SELECT count(*) FROM pg_class WHERE relname IN ('b', 'w')";
    assert_eq!(shadow(&journey, gone), "0");
    // A copy made anew finds its own views in the way of nothing.
    journey.copy();
    journey.await_status("phase", "mirroring");
    assert_eq!(shadow(&journey, "SELECT count(*) FROM v"), "2");
}

#[test]
fn assess_says_which_are_carried() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let both = format!("{FILE} {SPELLED}");
    rusqlite::Connection::open(&file).unwrap().execute_batch(&both).unwrap();
    let (code, out, err) = crossfade(&["assess", text(&file), "--json"]);
    assert!(code < 2, "{out}{err}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let found = report["findings"].as_array().unwrap();
    let ids = |table: &str, object: Option<&str>| -> Vec<&str> {
        let of = |f: &&serde_json::Value| f["table"] == table && f["object"].as_str() == object;
        let ids = found.iter().filter(of).filter_map(|f| f["id"].as_str());
        ids.filter(|id| id.starts_with("CF05")).collect()
    };
    assert_eq!(ids("top", None), ["CF0518"]);
    assert_eq!(ids("strange", None), ["CF0502"]);
    // What SQLite holds apart is one moment to PostgreSQL.
    assert_eq!(ids("visits", None), ["CF0502"]);
    assert!(out.contains("column \\\"at\\\", which holds values in several spellings"), "{out}");
    assert_eq!(ids("days", None), ["CF0518"]);
    assert_eq!(ids("customer", Some("customer_stamped")), ["CF0519"]);
    assert_eq!(ids("total", Some("total_counts")), ["CF0503"]);
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
