//! Runs what the generator makes on both sides, compares, and makes finds smaller.
//!
//! Start at [`fuzz`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use crossfade::value::oid;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::common::client::{Address, Answer, Client, Row};
use crate::common::{Pg, Proxy};
use crate::compat::compare::{self, Found};
use crate::compat::text;

use super::adopted;
use super::coverage::{self, Coverage};
use super::expr::Gen;
use super::schema::Schema;
use super::tree::{Node, smaller};

/// How long a run is.
pub struct Limits {
    pub statements: u64,
    pub seed: u64,
    /// Ends after so many.
    pub finds: usize,
    /// The tables are in a file that is there before the proxy.
    pub adopted: bool,
}

/// Statements per schema.
const ROUND: u64 = 120;

/// One statement and how it is sent.
#[derive(Clone)]
struct Case {
    node: Node,
    /// Tables to look at after a write.
    written: Option<Vec<String>>,
    /// Errors of evaluation must be the same too.
    strict: bool,
    extended: bool,
}

/// How a statement went.
enum Verdict {
    Same,
    SameError,
    /// 0A000, with its message.
    Refused(String),
    /// One side met an error that depends on the plan.
    Undetermined,
    Different(String),
}

/// A statement that was answered differently.
pub struct Find {
    pub sql: String,
    pub difference: String,
    pub seed: u64,
    pub script: Vec<String>,
}

impl Find {
    fn text(&self) -> String {
        let script = self.script.join(";\n");
        let Self { sql, difference, seed, .. } = self;
        format!("-- find, seed {seed}\n{script};\n{sql};\n   {difference}\n\n")
    }
}

/// What a run found.
#[derive(Default)]
pub struct Report {
    pub finds: Vec<Find>,
    pub same: u64,
    pub same_errors: u64,
    pub undetermined: u64,
    pub refused: BTreeMap<String, u64>,
    pub coverage: Coverage,
    pub seconds: u64,
    pub seed: u64,
}

impl Report {
    fn total(&self) -> u64 {
        self.same
            + self.same_errors
            + self.undetermined
            + self.refused.values().sum::<u64>()
            + self.finds.len() as u64
    }

    pub fn text(&self) -> String {
        let mut out = String::new();
        self.finds.iter().for_each(|f| out.push_str(&f.text()));
        writeln!(
            out,
            "seed {}: {} statements in {} s: {} equal, {} the same error, {} undetermined errors, \
             {} refused with 0A000, {} finds",
            self.seed,
            self.total(),
            self.seconds,
            self.same,
            self.same_errors,
            self.undetermined,
            self.refused.values().sum::<u64>(),
            self.finds.len()
        )
        .unwrap();
        let mut refused: Vec<_> = self.refused.iter().collect();
        refused.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        for (reason, count) in refused.iter().take(25) {
            writeln!(out, "  refused {count} times: {reason}").unwrap();
        }
        writeln!(out, "{}", self.coverage.report()).unwrap();
        out
    }
}

/// Both sides, and PostgreSQL with other plans to tell what is open from what is wrong.
struct Sides {
    pg: Client,
    twin: Client,
    proxy: Client,
    server: Proxy,
    /// Number that sequences are set to after an error.
    next: u32,
    /// How an existing file's columns are stored.
    forms: String,
}

const SETTINGS: [&str; 2] = ["SET timezone = 'Europe/Berlin'", "SET statement_timeout = '10s'"];

fn to(server: &Proxy) -> Client {
    Client::connect(Address {
        port: server.port,
        user: "postgres".to_owned(),
        database: "fuzz".to_owned(),
        options: String::new(),
    })
}

const TWIN: &str = "-c enable_hashagg=off -c enable_hashjoin=off -c enable_seqscan=off \
                    -c enable_nestloop=off";

impl Sides {
    fn start(environment: &[(&str, &str)]) -> Self {
        let pg = Pg::shared();
        let folder = tempfile::tempdir().unwrap().keep();
        let server = Proxy::on_file_with(&folder.join("fuzz.db"), &[], environment);
        let database = |name: &str| {
            pg.cluster
                .psql(
                    "postgres",
                    &format!("CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"),
                )
                .unwrap();
            name.to_owned()
        };
        static NEXT: std::sync::Mutex<u32> = std::sync::Mutex::new(0);
        let mut next = NEXT.lock().unwrap();
        *next += 1;
        let address = |database: String, options: &str| Address {
            port: pg.cluster.port(),
            user: "postgres".to_owned(),
            database,
            options: options.to_owned(),
        };
        let one = Client::connect(address(database(&format!("fuzz_{next}")), ""));
        let two = Client::connect(address(database(&format!("fuzz_twin_{next}")), TWIN));
        drop(next);
        let proxy = to(&server);
        let mut sides =
            Self { pg: one, twin: two, proxy, server, next: 1000, forms: String::new() };
        for setting in SETTINGS {
            sides.all(setting);
        }
        sides
    }

    /// The same tables in a file that is there before the proxy. False where they are not the same.
    fn adopt(
        &mut self,
        schema: &Schema,
        rng: &mut StdRng,
        report: &mut Report,
        seed: u64,
        environment: &[(&str, &str)],
    ) -> bool {
        for sql in &schema.script {
            self.pg.simple(sql);
            self.twin.simple(sql);
        }
        let folder = tempfile::tempdir().unwrap().keep();
        let (file, config) = (folder.join("fuzz.db"), folder.join("fuzz.toml"));
        self.forms = adopted::file(schema, &mut self.pg, rng, &file);
        std::fs::write(&config, &self.forms).unwrap();
        let arguments = ["--config", config.to_str().unwrap()];
        self.server = Proxy::on_file_with(&file, &arguments, environment);
        self.proxy = to(&self.server);
        for setting in SETTINGS {
            self.proxy.simple(setting);
        }
        self.alike(schema, report, seed)
    }

    fn all(&mut self, sql: &str) -> (Answer, Answer, Answer) {
        (self.pg.simple(sql), self.twin.simple(sql), self.proxy.simple(sql))
    }

    /// Makes the tables; what one side refuses exists on neither. Differences are finds too.
    /// False where the tables are not what the schema says.
    fn prepare(&mut self, schema: &Schema, report: &mut Report, seed: u64) -> bool {
        let mut whole = true;
        for (i, sql) in schema.script.iter().enumerate() {
            self.all("BEGIN");
            let (pg, twin, proxy) = self.all(sql);
            let end = if pg.ok() && proxy.ok() { "COMMIT" } else { "ROLLBACK" };
            match verdict(sql, &pg, &twin, &proxy, true) {
                Verdict::Different(difference) => report.finds.push(Find {
                    sql: sql.clone(),
                    difference,
                    seed,
                    script: schema.script[..i].to_vec(),
                }),
                Verdict::Refused(reason) => *report.refused.entry(reason).or_default() += 1,
                _ => {}
            }
            self.all(end);
            whole &= end == "COMMIT" || sql.starts_with("INSERT") || sql.contains(" INDEX ");
        }
        whole & self.alike(schema, report, seed)
    }

    /// Whether all sides hold the same tables.
    fn alike(&mut self, schema: &Schema, report: &mut Report, seed: u64) -> bool {
        let mut whole = true;
        for table in &schema.tables {
            let columns = "column_name, data_type, is_nullable, is_generated, \
                           character_maximum_length, numeric_precision, numeric_scale";
            let looks = [
                format!("SELECT * FROM {}", table.name),
                format!(
                    "SELECT {columns} FROM information_schema.columns WHERE table_name = '{}' \
                     ORDER BY ordinal_position",
                    table.name
                ),
            ];
            for sql in looks {
                let (pg, twin, proxy) = self.all(&sql);
                if let Verdict::Different(difference) = verdict(&sql, &pg, &twin, &proxy, true) {
                    let mut script = schema.script.clone();
                    script.insert(0, self.forms.clone());
                    report.finds.push(Find { sql, difference, seed, script });
                    whole = false;
                }
            }
        }
        whole
    }

    fn ask(client: &mut Client, case: &Case) -> Answer {
        let answer = if case.extended {
            let (sql, params) = case.node.extended();
            client.extended(&sql, &params)
        } else {
            client.simple(&case.node.simple())
        };
        if answer.lost {
            client.reconnect();
        }
        answer
    }

    /// Runs a statement on both sides; a write is kept where both did the same.
    fn check(&mut self, case: &Case, keep: bool) -> Verdict {
        let Some(tables) = &case.written else {
            let pg = Self::ask(&mut self.pg, case);
            let proxy = Self::ask(&mut self.proxy, case);
            let sql = case.node.simple();
            let found = verdict(&sql, &pg, &pg, &proxy, case.strict);
            if !matches!(found, Verdict::Different(_)) {
                return found;
            }
            let twin = Self::ask(&mut self.twin, case);
            return verdict(&sql, &pg, &twin, &proxy, case.strict);
        };
        self.all("BEGIN");
        let pg = Self::ask(&mut self.pg, case);
        let twin = Self::ask(&mut self.twin, case);
        let proxy = Self::ask(&mut self.proxy, case);
        let mut found = verdict(&case.node.simple(), &pg, &twin, &proxy, case.strict);
        for table in tables.iter().filter(|_| pg.ok() && proxy.ok()) {
            let sql = format!("SELECT * FROM {table}");
            let (pg, twin, proxy) = self.all(&sql);
            if let (Verdict::Same, Verdict::Different(d)) =
                (&found, verdict(&sql, &pg, &twin, &proxy, true))
            {
                // What is stored would differ for ever: not kept.
                found = match is_approximate(&case.node.simple()) {
                    true => Verdict::Undetermined,
                    false => Verdict::Different(format!("rows of {table} afterwards: {d}")),
                };
            }
        }
        let both = keep && matches!(found, Verdict::Same);
        let (pg, _, proxy) = self.all(if both { "COMMIT" } else { "ROLLBACK" });
        if !both {
            // Numbers drawn before an error are lost, and how many is open.
            self.next += 10;
            for table in tables {
                let next = self.next;
                self.all(&format!(
                    "SELECT setval(pg_get_serial_sequence('{table}', 'id'), {next})"
                ));
            }
        }
        if pg.ok() != proxy.ok() {
            return Verdict::Different(format!(
                "the end of the transaction: {:?}, expected {:?}",
                proxy.error, pg.error
            ));
        }
        found
    }
}

/// Whether an error may come or not, as the plan has it: data exceptions of expressions that
/// need not be evaluated.
fn evaluation(code: &str) -> bool {
    code.starts_with("22") || code == "21000" || code == "57014" || code == "54000"
}

fn verdict(sql: &str, pg: &Answer, twin: &Answer, proxy: &Answer, strict: bool) -> Verdict {
    let text = |a: &Answer| {
        a.error.as_ref().map_or_else(|| "rows".to_owned(), |e| format!("{} {}", e.code, e.message))
    };
    if proxy.lost {
        return Verdict::Different("the connection ended".to_owned());
    }
    if pg.lost {
        return Verdict::Undetermined;
    }
    match (pg.code(), proxy.code()) {
        ("", "") => {
            let (pg, proxy) = (approximate(sql, pg), approximate(sql, proxy));
            let twin = approximate(sql, twin);
            let types = |a: &Answer| -> Vec<Vec<String>> {
                let columns = a.outcomes.iter().map(|o| o.columns.iter().flatten());
                columns.map(|c| c.map(|c| c.oid.to_string()).collect()).collect()
            };
            let found = compare::answers(sql, (&pg, &types(&pg)), &twin, (&proxy, &types(&proxy)));
            match found {
                Found::Equal | Found::Unstable => Verdict::Same,
                Found::Order(d) => Verdict::Different(format!("order: {d}")),
                Found::Types(d) | Found::Wrong(d) => Verdict::Different(d),
            }
        }
        (a, "0A000") if a != "0A000" => Verdict::Refused(
            proxy.error.as_ref().map_or_else(String::new, |e| text::normalised(&e.message)),
        ),
        // A form that holds less than the type says so.
        ("", "22003")
            if proxy.error.as_ref().is_some_and(|e| e.message.contains("can hold exactly")) =>
        {
            Verdict::Refused("more digits than the column can hold exactly".to_owned())
        }
        (a, b) if a == b => Verdict::SameError,
        (_, "57014") => Verdict::Undetermined,
        // PostgreSQL folds constants where there is no row to evaluate them for.
        (a, "") if (evaluation(a) || a == "0A000") && rowless(proxy) => Verdict::Undetermined,
        (a, b)
            if !strict
                && (a.is_empty() || evaluation(a))
                && (b.is_empty() || evaluation(b))
                && !(a.is_empty() && b.is_empty()) =>
        {
            Verdict::Undetermined
        }
        // Several rows or expressions may fail: which is met first is open.
        (a, b) if !a.is_empty() && !b.is_empty() && open_order(a) && open_order(b) => {
            Verdict::Undetermined
        }
        _ => Verdict::Different(format!("{}, expected {}", text(proxy), text(pg))),
    }
}

/// No row was met.
fn rowless(answer: &Answer) -> bool {
    answer.outcomes.iter().all(|o| o.rows.is_empty() && o.tag.ends_with(" 0"))
}

fn open_order(code: &str) -> bool {
    code.starts_with("22") || code.starts_with("23") || matches!(code, "21000" | "0A000")
}

/// Sums of floats depend on the order of rows: their last digits are left out.
fn is_approximate(sql: &str) -> bool {
    // The cube root of one C library is not that of another.
    ["sum(", "avg(", "stddev", "var_", "variance(", "cbrt(", "||/", "regr_"]
        .iter()
        .any(|f| sql.contains(f))
}

fn approximate(sql: &str, answer: &Answer) -> Answer {
    let sums = is_approximate(sql);
    let mut answer = answer.clone();
    for outcome in &mut answer.outcomes {
        let Some(columns) = &outcome.columns else { continue };
        for (i, column) in columns.iter().enumerate() {
            if !matches!(column.oid, oid::FLOAT4 | oid::FLOAT8) {
                continue;
            }
            for row in &mut outcome.rows {
                // SQLite stores no -0.
                if row[i].as_deref() == Some(b"-0") {
                    row[i] = Some(b"0".to_vec());
                }
                if sums {
                    round(row, i);
                }
            }
        }
    }
    answer
}

fn round(row: &mut Row, at: usize) {
    if let Some(value) = &row[at]
        && let Ok(number) = String::from_utf8_lossy(value).parse::<f64>()
        && number.is_finite()
    {
        row[at] = Some(format!("{number:.4e}").into_bytes());
    }
}

/// Runs until the limits are reached.
pub fn fuzz(limits: &Limits) -> Report {
    fuzz_with(limits, &[])
}

/// Runs against a proxy with these environment variables.
pub fn fuzz_with(limits: &Limits, environment: &[(&str, &str)]) -> Report {
    let start = Instant::now();
    let mut report = Report { seed: limits.seed, ..Report::default() };
    let mut sides = Sides::start(environment);
    let mut seen = std::collections::BTreeSet::new();
    let mut round = 0;
    while report.total() < limits.statements && report.finds.len() < limits.finds {
        let seed = limits.seed.wrapping_mul(1_000_003).wrapping_add(round);
        round += 1;
        let mut rng = StdRng::seed_from_u64(seed);
        let (schema, whole) = if limits.adopted {
            let schema = Schema::plain(&mut rng, round);
            let whole = sides.adopt(&schema, &mut rng, &mut report, seed, environment);
            (schema, whole)
        } else {
            let schema = Schema::random(&mut rng, round);
            let whole = sides.prepare(&schema, &mut report, seed);
            (schema, whole)
        };
        let catalog = coverage::catalog_of(&sides.server.file);
        for _ in 0..if whole { ROUND } else { 0 } {
            if report.total() >= limits.statements || report.finds.len() >= limits.finds {
                break;
            }
            let case = random_case(&schema, &mut rng);
            report.coverage.text(
                &if case.extended { case.node.extended().0 } else { case.node.simple() },
                &catalog,
            );
            match sides.check(&case, true) {
                Verdict::Same => report.same += 1,
                Verdict::SameError => report.same_errors += 1,
                Verdict::Undetermined => report.undetermined += 1,
                Verdict::Refused(reason) => *report.refused.entry(reason).or_default() += 1,
                Verdict::Different(difference) => {
                    let (case, difference) = minimise(&mut sides, case, difference);
                    let shape = text::normalised(&shape(&case.node.simple()));
                    if seen.insert(shape) {
                        let find = find(&mut sides, &schema, &case, difference, seed);
                        // A long run is not to lose what it found.
                        eprintln!("{}", find.text());
                        report.finds.push(find);
                    } else {
                        report.undetermined += 1;
                    }
                }
            }
        }
        for sql in schema.drop() {
            sides.all(&sql);
        }
        if round.is_multiple_of(10) {
            eprintln!("{} statements, {} s", report.total(), start.elapsed().as_secs());
        }
    }
    report.seconds = start.elapsed().as_secs();
    report
}

fn random_case(schema: &Schema, rng: &mut StdRng) -> Case {
    let mut generator = Gen::new(schema, rng.random());
    generator.strict = rng.random_bool(0.3);
    let extended = rng.random_bool(0.3);
    let (node, written) = if rng.random_bool(0.3) {
        let (node, _) = generator.write();
        (node, Some(schema.tables.iter().map(|t| t.name.clone()).collect()))
    } else {
        (generator.statement(), None)
    };
    // A strict function of a constant NULL is NULL before its other arguments are evaluated.
    let strict = generator.strict && !node.simple().contains("NULL");
    Case { node, written, strict, extended }
}

/// Names of tables, relations and columns carry numbers: a find's shape is without them.
fn shape(sql: &str) -> String {
    sql.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// The smallest statement that still differs, by a bounded number of tries.
fn minimise(sides: &mut Sides, case: Case, difference: String) -> (Case, String) {
    let mut best = (case, difference);
    if best.0.extended {
        let simple = Case { extended: false, ..best.0.clone() };
        if let Verdict::Different(d) = sides.check(&simple, false) {
            best = (simple, d);
        }
    }
    let mut tries = 0;
    'again: while tries < 1500 {
        for node in smaller(&best.0.node) {
            tries += 1;
            if tries >= 1500 {
                break 'again;
            }
            let strict = best.0.strict && !node.simple().contains("NULL");
            let candidate = Case { node, strict, ..best.0.clone() };
            if let Verdict::Different(d) = sides.check(&candidate, false)
                && kind(&d) == kind(&best.1)
            {
                best = (candidate, d);
                continue 'again;
            }
        }
        break;
    }
    best
}

/// What must stay the same while a find gets smaller.
fn kind(difference: &str) -> String {
    let line = difference.lines().next().unwrap_or_default();
    line.chars().filter(|c| c.is_alphabetic()).take(12).collect()
}

/// A find, with the tables as they are now.
fn find(sides: &mut Sides, schema: &Schema, case: &Case, difference: String, seed: u64) -> Find {
    let sql = if case.extended {
        let (sql, params) = case.node.extended();
        format!("{sql} -- with {params:?}")
    } else {
        case.node.simple()
    };
    let words = text::words(&sql);
    let mut script = Vec::new();
    if !sides.forms.is_empty() {
        script.push(sides.forms.clone());
    }
    for table in schema.tables.iter().filter(|t| words.contains(&t.name)) {
        script.extend(
            schema
                .script
                .iter()
                .filter(|s| {
                    let made = ["CREATE TABLE", "CREATE INDEX", "CREATE UNIQUE", "ALTER TABLE"];
                    made.iter().any(|w| s.starts_with(w))
                        && format!("{s} ").contains(&format!(" {} ", table.name))
                })
                .cloned(),
        );
        let rows = sides.pg.simple(&format!("SELECT * FROM {}", table.name));
        for row in rows.outcomes.iter().flat_map(|o| &o.rows) {
            let values: Vec<String> = row
                .iter()
                .map(|v| {
                    v.as_ref().map_or_else(
                        || "NULL".to_owned(),
                        |v| format!("'{}'", String::from_utf8_lossy(v).replace('\'', "''")),
                    )
                })
                .collect();
            script.push(format!("INSERT INTO {} VALUES ({})", table.name, values.join(", ")));
        }
    }
    let made = schema.script.iter().filter(|s| s.starts_with("CREATE VIEW"));
    let used = made.filter(|s| {
        schema.views.iter().any(|v| words.contains(&v.name) && s.contains(&format!(" {} ", v.name)))
    });
    script.extend(used.cloned());
    Find { sql, difference, seed, script }
}
