//! The faults that are planted, and the class each is reported in.
//!
//! docs/consistency.md shows them as a table; `recall::the_document_names_every_fault` holds it
//! against this one. `{t}` is a table's own name. Start at [`FAULTS`].

/// One kind of fault.
pub struct Fault {
    /// In the words of the document.
    pub name: &'static str,
    /// Class of the one incident it is.
    pub class: &'static str,
    /// Tables, made and filled through the proxy before there is a PostgreSQL.
    pub tables: &'static str,
    /// Statements of clients while both sides are equal.
    pub before: &'static [&'static str],
    /// What is done to PostgreSQL behind the mirror's back.
    pub plant: &'static str,
    /// What clients do afterwards; it may fail on the primary.
    pub then: &'static [&'static str],
}

const KEYED: &str = "CREATE TABLE {t} (id integer PRIMARY KEY, name text NOT NULL UNIQUE, \
     qty integer NOT NULL DEFAULT 1 CHECK (qty >= 0), price numeric(10,2), at timestamptz, \
     data jsonb, f double precision, up integer REFERENCES {t} (id)); \
     CREATE INDEX {t}_qty ON {t} (qty); \
     INSERT INTO {t} (id, name, qty, price, at, data, f) SELECT g, 'Row ' || g, g, g / 8.0, \
     '2024-03-04 05:06:07.123456+00', '{\"a\": [1, null]}', g / 3.0 FROM generate_series(1, 9) g";

const KEYLESS: &str = "CREATE TABLE {t} (what text, n integer); \
     INSERT INTO {t} VALUES ('a', 1), ('a', 1), ('b', NULL)";

const COUNTED: &str = "CREATE TABLE {t} (id serial PRIMARY KEY, n integer); \
     INSERT INTO {t} (n) VALUES (1), (2), (3)";

const VIEWED: &str = "CREATE TABLE {t} (id integer PRIMARY KEY, n integer); \
     CREATE VIEW {t}_v AS SELECT id FROM {t} WHERE n > 0";

const FIRED: &str = "CREATE TABLE {t} (id integer PRIMARY KEY, n integer); \
     CREATE FUNCTION {t}_act() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN NEW.n := NEW.n + 1; RETURN NEW; END $$; \
     CREATE TRIGGER {t}_act BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION {t}_act()";

const NONE: Fault = Fault { name: "", class: "", tables: KEYED, before: &[], plant: "", then: &[] };

const fn row(name: &'static str, class: &'static str, plant: &'static str) -> Fault {
    Fault { name, class, plant, ..NONE }
}

const fn met(
    name: &'static str,
    class: &'static str,
    plant: &'static str,
    then: &'static [&'static str],
) -> Fault {
    Fault { name, class, plant, then, ..NONE }
}

/// Forms of the tables: other types, other keys, other places of the columns.
pub const FORMS: usize = 5;

/// A table's definition in one of the forms. What a fault names is there in each of them.
pub fn formed(tables: &str, form: usize) -> String {
    let words: &[(&str, &str)] = match form % FORMS {
        0 => &[],
        1 => &[
            ("id integer", "id bigint"),
            ("up integer", "up bigint"),
            ("name text", "name varchar(40)"),
            ("numeric(10,2)", "numeric(18,6)"),
            ("serial", "bigserial"),
            ("n integer", "n bigint"),
        ],
        2 => &[
            ("(id integer PRIMARY KEY, n integer)", "(n smallint, id smallint PRIMARY KEY)"),
            ("n integer", "n smallint"),
            ("id integer PRIMARY KEY, ", ""),
            ("f double precision, up integer", "f double precision, id smallint, up smallint"),
            ("REFERENCES {t} (id))", "REFERENCES {t} (id), PRIMARY KEY (id))"),
            ("qty integer", "qty smallint"),
        ],
        3 => &[
            ("id integer", "id numeric(20,0)"),
            ("up integer", "up numeric(20,0)"),
            ("jsonb", "json"),
            ("timestamptz", "timestamp"),
            ("price numeric(10,2)", "price numeric"),
            ("n integer", "n numeric(9,3)"),
        ],
        _ => &[
            ("name text", "c1 text, c2 date, c3 bytea, c4 uuid, c5 boolean, name text"),
            ("qty integer", "c6 interval, c7 text DEFAULT 'x', c8 real, qty integer"),
            ("what text, n integer", "what text, n integer, c1 date DEFAULT '2024-01-02'"),
        ],
    };
    words.iter().fold(tables.to_owned(), |text, (word, other)| text.replace(word, other))
}

/// Every kind.
pub const FAULTS: &[Fault] = &[
    // Rows that nobody meets: verify finds them.
    row("integer changed", "verify_value", "UPDATE {t} SET qty = 99 WHERE id = 3"),
    row("text in other case", "verify_value", "UPDATE {t} SET name = 'ROW 3' WHERE id = 3"),
    row("numeric truncated", "verify_value", "UPDATE {t} SET price = trunc(price, 1) WHERE id = 1"),
    row(
        "time a microsecond off",
        "verify_value",
        "UPDATE {t} SET at = at + '1 microsecond' WHERE id = 2",
    ),
    row(
        "float a bit off",
        "verify_value",
        "UPDATE {t} SET f = float8 '1.3333333333333335' WHERE id = 4",
    ),
    row("NULL for a value", "verify_value", "UPDATE {t} SET price = NULL WHERE id = 5"),
    row("JSON changed", "verify_value", "UPDATE {t} SET data = '{\"a\": [null, 1]}' WHERE id = 6"),
    row("row missing", "verify_missing", "DELETE FROM {t} WHERE id = 7"),
    row("row extra", "verify_extra", "INSERT INTO {t} (id, name) VALUES (70, 'extra')"),
    Fault {
        tables: KEYLESS,
        ..row(
            "one of two equal rows missing",
            "verify_missing",
            "DELETE FROM {t} WHERE ctid = (SELECT min(ctid) FROM {t} WHERE what = 'a')",
        )
    },
    Fault {
        tables: KEYLESS,
        ..row("row twice without a key", "verify_extra", "INSERT INTO {t} VALUES ('b', NULL)")
    },
    // Rows that a read meets first.
    met(
        "changed row, read",
        "verify_value",
        "UPDATE {t} SET qty = 99 WHERE id = 3",
        &["SELECT id, qty FROM {t} ORDER BY id", "SELECT sum(qty) FROM {t}"],
    ),
    met(
        "missing row, read",
        "verify_missing",
        "DELETE FROM {t} WHERE id = 7",
        &["SELECT id, name FROM {t} WHERE qty > 5 ORDER BY id", "SELECT count(*) FROM {t}"],
    ),
    met(
        "extra row, read",
        "verify_extra",
        "INSERT INTO {t} (id, name) VALUES (0, 'extra')",
        &["SELECT id FROM {t} ORDER BY id LIMIT 3"],
    ),
    // Rows that a write meets, and makes equal.
    met(
        "changed row, counted on",
        "effect_value",
        "UPDATE {t} SET qty = 99 WHERE id = 3",
        &["UPDATE {t} SET qty = qty + 1 WHERE id = 3"],
    ),
    met(
        "changed row, not found by UPDATE",
        "effect_value",
        "UPDATE {t} SET qty = 99 WHERE id = 5",
        &["UPDATE {t} SET f = 1 WHERE qty = 5"],
    ),
    met(
        "changed row, not found by DELETE",
        "effect_extra",
        "UPDATE {t} SET qty = 99 WHERE id = 5",
        &["DELETE FROM {t} WHERE qty = 5"],
    ),
    met(
        "missing row, updated",
        "foreign_write",
        "DELETE FROM {t} WHERE id = 4",
        &["UPDATE {t} SET qty = 50 WHERE id = 4"],
    ),
    met(
        "missing row, deleted",
        "foreign_write",
        "DELETE FROM {t} WHERE id = 4",
        &["DELETE FROM {t} WHERE id = 4"],
    ),
    met(
        "extra row, inserted",
        "foreign_write",
        "INSERT INTO {t} (id, name) VALUES (40, 'extra')",
        &["INSERT INTO {t} (id, name) VALUES (40, 'ours')"],
    ),
    met(
        "extra row, changed by a wide UPDATE",
        "verify_extra",
        "INSERT INTO {t} (id, name, qty) VALUES (41, 'extra', 500)",
        &["UPDATE {t} SET f = 0 WHERE qty > 8"],
    ),
    met(
        "changed row, in a transaction of several statements",
        "effect_value",
        "UPDATE {t} SET qty = 99 WHERE id = 3",
        &["BEGIN; UPDATE {t} SET f = 7 WHERE id = 1; UPDATE {t} SET qty = qty * 2 WHERE id = 3; \
             INSERT INTO {t} (id, name) VALUES (42, 'new'); COMMIT"],
    ),
    // Another schema.
    row("index dropped", "schema_drift", "DROP INDEX {t}_qty"),
    met(
        "UNIQUE dropped, duplicate written",
        "schema_drift",
        "ALTER TABLE {t} DROP CONSTRAINT {t}_name_key",
        &["INSERT INTO {t} (id, name) VALUES (50, 'Row 1')"],
    ),
    met(
        "CHECK dropped, broken",
        "schema_drift",
        "ALTER TABLE {t} DROP CONSTRAINT {t}_qty_check",
        &["INSERT INTO {t} (id, name, qty) VALUES (51, 'less', -1)"],
    ),
    met(
        "NOT NULL dropped, broken",
        "schema_drift",
        "ALTER TABLE {t} ALTER COLUMN qty DROP NOT NULL",
        &["UPDATE {t} SET qty = NULL WHERE id = 1"],
    ),
    met(
        "foreign key dropped, broken",
        "schema_drift",
        "ALTER TABLE {t} DROP CONSTRAINT {t}_up_fkey",
        &["UPDATE {t} SET up = 777 WHERE id = 1"],
    ),
    met(
        "foreign key switched off, broken",
        "schema_drift",
        "ALTER TABLE {t} DISABLE TRIGGER ALL",
        &["UPDATE {t} SET up = 777 WHERE id = 1"],
    ),
    met(
        "default changed",
        "schema_drift",
        "ALTER TABLE {t} ALTER COLUMN qty SET DEFAULT 2",
        &["INSERT INTO {t} (id, name) VALUES (52, 'default')"],
    ),
    met(
        "column of another precision",
        "schema_drift",
        "ALTER TABLE {t} ALTER COLUMN price TYPE numeric(10,1)",
        &["UPDATE {t} SET price = 7.25 WHERE id = 2", "SELECT price FROM {t} ORDER BY id"],
    ),
    met(
        "column of another type",
        "schema_drift",
        "ALTER TABLE {t} ALTER COLUMN qty TYPE bigint",
        &["SELECT qty FROM {t} ORDER BY id", "UPDATE {t} SET qty = 3 WHERE id = 3"],
    ),
    met(
        "column of another collation",
        "schema_drift",
        "ALTER TABLE {t} ALTER COLUMN name TYPE text COLLATE \"POSIX\"",
        &["SELECT name FROM {t} ORDER BY name"],
    ),
    row("column dropped", "schema_drift", "ALTER TABLE {t} DROP COLUMN price"),
    row("table dropped", "schema_drift", "DROP TABLE {t}"),
    met(
        "trigger that changes rows",
        "schema_drift",
        "CREATE FUNCTION {t}_act() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN NEW.name := NEW.name || '!'; RETURN NEW; END $$; CREATE TRIGGER {t}_act BEFORE \
         INSERT OR UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION {t}_act()",
        &["INSERT INTO {t} (id, name) VALUES (53, 'plain')", "UPDATE {t} SET qty = 0 WHERE id = 1"],
    ),
    met(
        "trigger that refuses",
        "schema_drift",
        "CREATE FUNCTION {t}_act() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'no'; END $$; CREATE TRIGGER {t}_act AFTER DELETE ON {t} \
         FOR EACH ROW EXECUTE FUNCTION {t}_act()",
        &["DELETE FROM {t} WHERE id = 9"],
    ),
    Fault {
        tables: FIRED,
        ..met(
            "trigger's function replaced",
            "schema_drift",
            "CREATE OR REPLACE FUNCTION {t}_act() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN NEW.n := NEW.n + 2; RETURN NEW; END $$",
            &["INSERT INTO {t} VALUES (1, 1)"],
        )
    },
    Fault {
        tables: FIRED,
        ..met(
            "trigger switched off",
            "schema_drift",
            "ALTER TABLE {t} DISABLE TRIGGER {t}_act",
            &["INSERT INTO {t} VALUES (1, 1)"],
        )
    },
    met(
        "CHECK that SQLite has not, broken",
        "schema_drift",
        "ALTER TABLE {t} ADD CONSTRAINT small CHECK (qty < 100)",
        &["INSERT INTO {t} (id, name, qty) VALUES (54, 'many', 500)"],
    ),
    met(
        "UNIQUE that SQLite has not, broken",
        "schema_drift",
        "CREATE UNIQUE INDEX {t}_once ON {t} (qty)",
        &["INSERT INTO {t} (id, name, qty) VALUES (55, 'again', 5)"],
    ),
    met(
        "deferred foreign key that SQLite has not, broken",
        "schema_drift",
        "ALTER TABLE {t} ADD CONSTRAINT late FOREIGN KEY (qty) REFERENCES {t} (id) \
         DEFERRABLE INITIALLY DEFERRED",
        &["INSERT INTO {t} (id, name, qty) VALUES (56, 'orphan', 400)"],
    ),
    met(
        "rule that swallows",
        "schema_drift",
        "CREATE RULE swallow AS ON UPDATE TO {t} DO INSTEAD NOTHING",
        &["UPDATE {t} SET qty = 30 WHERE id = 3"],
    ),
    row("row security", "schema_drift", "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY"),
    Fault {
        tables: VIEWED,
        ..row(
            "view of another definition",
            "schema_drift",
            "CREATE OR REPLACE VIEW {t}_v AS SELECT id FROM {t} WHERE n >= 0",
        )
    },
    Fault {
        tables: COUNTED,
        // More than are drawn at once.
        before: &["INSERT INTO {t} (n) SELECT g FROM generate_series(1, 200) g"],
        ..row(
            "sequence behind by one",
            "schema_drift",
            "SELECT setval('{t}_id_seq', last_value - 1) FROM {t}_id_seq",
        )
    },
    Fault {
        tables: COUNTED,
        ..row("sequence of another step", "schema_drift", "ALTER SEQUENCE {t}_id_seq INCREMENT 2")
    },
];

/// Settings of the database for its sessions, planted once; each is drift.
pub const SETTINGS: &[(&str, &str)] = &[
    ("other TimeZone", "TimeZone = 'Asia/Tokyo'"),
    ("other DateStyle", "DateStyle = 'German'"),
    ("other isolation", "default_transaction_isolation = 'serializable'"),
];
