//! `crossfade translate`: what a statement becomes on a back end, with its types.
//!
//! Plans against the catalog of a SQLite file (a private copy of it is read), or an empty
//! one. It must never run the statement. Start at [`translate`].

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::backend::sqlite::inspect::Copy;
use crate::backend::sqlite::{Install, Options, Sqlite, catalog, functions, system};
use crate::cli::{TranslateArgs, exit, out};
use crate::error::{Error, Result, state};
use crate::schema::Catalog;
use crate::sql::plan::{Action, Plan};
use crate::sql::{self, Context, Mode};
use crate::value::Type;

/// Runs the verb.
pub fn translate(args: &TranslateArgs) -> ExitCode {
    let to_sqlite = match args.to.as_str() {
        "sqlite" => true,
        "postgres" => false,
        other => {
            let message = format!("--to {other}: expected postgres or sqlite");
            complain(&message);
            if args.json {
                out::json(&out::error("usage", &message, None));
            }
            return ExitCode::from(exit::USAGE);
        }
    };
    let catalog = match args.sqlite.as_deref().map(catalog_of).transpose() {
        Ok(catalog) => catalog.unwrap_or_else(|| Arc::new(Catalog::system_only())),
        Err(error) => {
            super::complain(&error);
            if args.json {
                as_json(&error);
            }
            return ExitCode::from(exit::UNREACHABLE);
        }
    };
    match statements(&args.sql, &catalog, to_sqlite) {
        Ok(list) => {
            let mut out = std::io::stdout().lock();
            let text = if args.json {
                serde_json::to_string_pretty(&json!({"statements": list})).unwrap_or_default()
                    + "\n"
            } else {
                list.iter().map(shown).collect::<Vec<_>>().join("\n")
            };
            // A closed stdout is the reader's wish.
            let _ = out.write_all(text.as_bytes());
            ExitCode::from(exit::DONE)
        }
        Err(error) => {
            refuse(&args.sql, &error);
            if args.json {
                as_json(&error);
            }
            ExitCode::from(exit::NO)
        }
    }
}

fn as_json(error: &Error) {
    let fields = error.fields();
    let code = fields.sqlstate.to_string();
    out::json(&out::error(&code, &fields.message, fields.hint.as_deref()));
}

fn complain(text: &str) {
    // With stderr gone there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "error: {text}");
}

/// An error with its SQLSTATE and its place in the text, as psql shows it.
fn refuse(text: &str, error: &Error) {
    let fields = error.fields();
    complain(&format!("{} ({})", fields.message, fields.sqlstate));
    let mut lines = Vec::new();
    if let Some(place) = place(text, fields.position) {
        lines.push(place);
    }
    lines.extend(fields.detail.iter().map(|d| format!("  {d}")));
    lines.extend(fields.hint.iter().map(|h| format!("hint: {h}")));
    for line in lines {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// The line of a 1-based character position, and a caret below.
fn place(text: &str, position: u32) -> Option<String> {
    let mut left = usize::try_from(position).ok()?.checked_sub(1)?;
    for (number, line) in text.split('\n').enumerate() {
        let length = line.chars().count();
        if left <= length {
            let lead = format!("LINE {}: ", number + 1);
            let blank = " ".repeat(lead.len() + left);
            return Some(format!("{lead}{line}\n{blank}^"));
        }
        left -= length + 1;
    }
    None
}

/// The catalog of a file as the proxy would see it.
fn catalog_of(path: &Path) -> Result<Arc<Catalog>> {
    if !path.exists() {
        let message = format!("there is no file {}", path.display());
        return Err(Error::client(state::IO_ERROR, message));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| Error::internal(format!("cannot start the runtime: {e}")))?;
    runtime.block_on(async {
        let copy = Copy::of(path)?;
        let identity = system::Identity { database: "crossfade".into(), user: "crossfade".into() };
        let shown = system::State::new(Arc::default(), identity, None);
        let install: Arc<Install> = Arc::new(move |connection| {
            functions::install(connection)?;
            system::install(connection, &shown)
        });
        let sqlite = Sqlite::open(Options::new(copy.path()), install)?;
        let writer = sqlite.writer(None).await?;
        let prepared = catalog::prepare(&writer)?;
        writer.rollback();
        Ok(prepared.catalog)
    })
}

fn statements(text: &str, catalog: &Catalog, to_sqlite: bool) -> Result<Vec<Value>> {
    let path = ["public".to_owned()];
    let context =
        Context { catalog, temporary: &BTreeMap::new(), search_path: &path, param_types: &[] };
    let mut list = Vec::new();
    let mode = Mode::Auto;
    for parsed in sql::parse_in(text, mode)? {
        let one = sql::plan_in(&parsed, &context, mode).and_then(|plan| {
            let mut told = statement(&plan, to_sqlite)?;
            told["dialect"] = plan.dialect.name().into();
            if plan.dialect.is_sqlite() {
                told["rules"] = sql::rules(&parsed, &context, mode).into();
                if !to_sqlite && let Ok(Some(live)) = sql::live(&parsed, &context, mode) {
                    told["promoted"] = live.into();
                }
            }
            Ok(told)
        });
        list.push(one.map_err(|e| e.shifted(parsed.offset))?);
    }
    Ok(list)
}

fn type_text(ty: Type) -> String {
    system::format_type(ty.oid, ty.typmod)
}

fn statement(plan: &Plan, to_sqlite: bool) -> Result<Value> {
    let (text, note, query) = match &plan.action {
        Action::Query(query) | Action::Explain(query, _) => {
            let text = if to_sqlite {
                query.sqlite.clone()
            } else {
                query
                    .postgres
                    .clone()
                    .ok_or_else(|| Error::unsupported("printing this statement for PostgreSQL"))?
            };
            (text, None, Some(query))
        }
        Action::Ddl(_) if to_sqlite => {
            let error = Error::unsupported("translating DDL without running it");
            return Err(error.hint("Run it through the proxy on a copy of the file."));
        }
        Action::Ddl(_) => (plan.text.clone(), None, None),
        Action::Copy(_) | Action::Session(_) => {
            let note = "answered by the session itself; never sent to SQLite";
            (plan.text.clone(), to_sqlite.then_some(note), None)
        }
        Action::Empty => (String::new(), None, None),
    };
    let frozen: Vec<Value> = query.map_or_else(Vec::new, |query| {
        let first = plan.params.len() + 1;
        let one = |(i, f): (usize, &crate::sql::plan::Frozen)| {
            json!({"number": first + i, "type": type_text(f.ty), "value": source(&f.source)})
        };
        query.frozen.iter().enumerate().map(one).collect()
    });
    Ok(json!({
        "text": text,
        "note": note,
        "parameters": plan.params.iter().map(|t| type_text(*t)).collect::<Vec<_>>(),
        "frozen": frozen,
        "columns": plan.columns.iter()
            .map(|c| json!({"name": c.name, "type": type_text(c.ty)}))
            .collect::<Vec<_>>(),
    }))
}

/// Where a frozen value comes from.
fn source(source: &sql::plan::FrozenSource) -> String {
    use sql::plan::FrozenSource as S;
    match source {
        S::TransactionTime => "now()".to_owned(),
        S::StatementTime => "statement_timestamp()".to_owned(),
        S::ClockTime => "clock_timestamp()".to_owned(),
        S::Random => "random()".to_owned(),
        S::Uuid => "gen_random_uuid()".to_owned(),
        S::NextValue(name) => format!("nextval('{name}')"),
        S::CurrentValue(name) => format!("currval('{name}')"),
        S::LastValue => "lastval()".to_owned(),
        S::Session(name, _) => format!("{name}(…)"),
        S::Function(oid, _) => format!("function {oid}(…)"),
        S::Field { of, position } => format!("column {} of value {}", position + 1, of + 1),
        S::SetConfig(_) => "set_config(…)".to_owned(),
    }
}

/// The text, then its types as comments: the whole stays valid SQL.
fn shown(statement: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |name: &str| statement[name].as_array().cloned().unwrap_or_default();
    let mut out = format!("{};\n", word(&statement["text"]));
    let mut line = |name: &str, items: Vec<String>| {
        if !items.is_empty() {
            out.push_str(&format!("-- {name}: {}\n", items.join(", ")));
        }
    };
    let parameters = list("parameters");
    let numbered = |(i, t): (usize, &Value)| format!("${} {}", i + 1, word(t));
    line("parameters", parameters.iter().enumerate().map(numbered).collect());
    let frozen = list("frozen");
    let once = |f: &Value| format!("${} {} = {}", f["number"], word(&f["type"]), word(&f["value"]));
    line("computed once", frozen.iter().map(once).collect());
    let columns = list("columns");
    let typed = |c: &Value| format!("{} {}", word(&c["name"]), word(&c["type"]));
    line("columns", columns.iter().map(typed).collect());
    let dialect = statement["dialect"].as_str().filter(|d| *d == "sqlite");
    line("dialect", dialect.map(str::to_owned).into_iter().collect());
    line("rules", list("rules").iter().map(word).collect());
    line("note", statement["note"].as_str().map(str::to_owned).into_iter().collect());
    out
}
