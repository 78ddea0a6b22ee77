//! SQLite's side: tables stored by a habit, plans run on a plain connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use crossfade::backend::sqlite::{functions, system};
use crossfade::error::{Error, Result, state};
use crossfade::schema::{
    Catalog, Check, Codec, Column, Index, IndexKey, Relation, RelationKind, Unique,
};
use crossfade::sql::plan::{Action, Plan};
use crossfade::sql::{self, Context};
use crossfade::value::{Cell, CellRef, Format, Style, Type, datetime, oid, storage, wire};
use rusqlite::types::{Value, ValueRef};

use super::data::{self, COLUMNS, Habit};

/// A database in memory.
pub struct Database {
    connection: rusqlite::Connection,
    catalog: Catalog,
    session: Arc<functions::session::Session>,
}

fn style() -> Style {
    Style { timezone: datetime::zone(super::ZONE).unwrap(), ..Style::default() }
}

/// A cell in one of the looser forms that a habit's programs write.
fn loosened(codec: Codec, ty: Type, cell: Cell, row: usize) -> Cell {
    match (codec, cell) {
        (Codec::BoolLoose, Cell::Integer(b)) => {
            let words = if b == 0 { ["f", "false", "0"] } else { ["t", "true", "1"] };
            Cell::Text(words[row % 3].to_owned())
        }
        (Codec::DateTimeLoose, Cell::Text(t)) if ty.oid != oid::DATE => {
            let zone = if ty.oid == oid::TIMESTAMPTZ && row.is_multiple_of(2) { "Z" } else { "" };
            Cell::Text(if row.is_multiple_of(3) {
                format!("{}{zone}", t.replace(' ', "T"))
            } else {
                t
            })
        }
        (Codec::TextLoose, Cell::Text(t)) => match t.parse() {
            Ok(n) => Cell::Integer(n),
            Err(_) => Cell::Text(t),
        },
        (Codec::NumericAny, Cell::Text(t)) if row.is_multiple_of(2) => {
            Cell::Text(t.trim_end_matches('0').trim_end_matches('.').to_owned())
        }
        (Codec::BytesLoose, Cell::Blob(b)) if b == b"abc" => Cell::Text("abc".to_owned()),
        (_, cell) => cell,
    }
}

fn value(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(i) => Value::Integer(i),
        Cell::Real(r) => Value::Real(r),
        Cell::Text(t) => Value::Text(t),
        Cell::Blob(b) => Value::Blob(b),
    }
}

fn relation(name: &str, number: u32, habit: Habit) -> Relation {
    let mut relation = Relation::new(number, name, RelationKind::Table);
    let mut id = Column::new(1, "id", Type::new(oid::INT4));
    id.not_null = true;
    relation.columns.push(id);
    for (i, column) in COLUMNS.iter().enumerate() {
        let mut made = Column::new(i as i16 + 2, column.name, column.ty);
        made.codec = column.codec(habit);
        relation.columns.push(made);
        relation.indexes.push(Index {
            name: format!("{name}_{}", column.name),
            oid: number * 100 + i as u32,
            keys: vec![IndexKey::Column(i + 1, false)],
            unique: false,
            predicate: None,
            definition: String::new(),
            absent: false,
            extras: Default::default(),
            sqlite: false,
        });
    }
    relation.primary_key = Some(vec![0]);
    relation.rowid_alias = Some(0);
    relation.uniques.push(Unique {
        name: format!("{name}_pkey"),
        oid: number * 100 + 99,
        columns: vec![0],
        primary: true,
        constraint: true,
        deferral: Default::default(),
    });
    relation
}

impl Database {
    pub fn open(habit: Habit) -> Self {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch("ATTACH ':memory:' AS \"public\"").unwrap();
        functions::install(&connection).unwrap();
        let mut catalog = Catalog::system_only();
        let mut tables = vec![
            (relation("t", 20_000, habit), data::ROWS.to_vec()),
            (relation("r", 20_001, habit.other()), data::other_rows()),
        ];
        for (i, column) in COLUMNS.iter().enumerate().filter(|(_, c)| c.unique) {
            let name = format!("unique_{}", column.name);
            let mut relation = Relation::new(20_010 + i as u32, name.clone(), RelationKind::Table);
            let mut made = Column::new(1, column.name, column.ty);
            made.codec = column.codec(habit);
            relation.columns.push(made);
            relation.uniques.push(Unique {
                name: format!("{name}_key"),
                oid: 30_000 + i as u32,
                columns: vec![0],
                primary: false,
                constraint: true,
                deferral: Default::default(),
            });
            tables.push((relation, Vec::new()));
        }
        tables.push((guarded(), Vec::new()));
        for (relation, rows) in tables {
            create(&connection, &relation);
            for (i, row) in rows.iter().enumerate() {
                fill(&connection, &relation, i, row);
            }
            catalog.relations.insert(relation.name.clone(), Arc::new(relation));
        }
        let identity = system::Identity { database: "typing".into(), user: "tester".into() };
        let state = system::State::new(Arc::new(catalog.clone()), identity, None);
        system::install(&connection, &state).unwrap();
        let session =
            Arc::new(functions::session::Session { style: style(), ..Default::default() });
        Self { connection, catalog, session }
    }

    pub fn codec(&self, column: &str) -> Codec {
        let t = &self.catalog.relations["t"];
        t.columns[t.column(column).unwrap()].codec
    }

    pub fn plan(&self, text: &str) -> Result<Plan> {
        let temporary = BTreeMap::new();
        let path = ["public".to_owned()];
        let context = Context {
            catalog: &self.catalog,
            temporary: &temporary,
            search_path: &path,
            param_types: &[],
        };
        let parsed = sql::parse(text)?;
        sql::plan(&parsed[0], &context)
    }

    /// Runs a plan with parameters in text; the rows as PostgreSQL's text.
    pub fn run(&self, plan: &Plan, params: &[&str]) -> Result<Vec<Vec<Option<String>>>> {
        let Action::Query(query) = &plan.action else { panic!("not a query") };
        let _scope = functions::session::Scope::enter(self.session.clone());
        let failed = |e: rusqlite::Error| match e {
            rusqlite::Error::SqliteFailure(code, Some(message)) => {
                functions::error::decode(&message).unwrap_or_else(|| {
                    let unique = code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
                        || code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY;
                    if unique {
                        Error::client(state::UNIQUE_VIOLATION, message)
                    } else {
                        Error::internal(format!("{message} in {}", query.sqlite))
                    }
                })
            }
            other => Error::internal(format!("{other} in {}", query.sqlite)),
        };
        let mut statement = self.connection.prepare(&query.sqlite).map_err(failed)?;
        for (i, (text, ty)) in params.iter().zip(&plan.params).enumerate() {
            let cell = wire::read(*ty, Format::Text, text.as_bytes(), &self.session.style)?;
            statement.raw_bind_parameter(i + 1, value(cell)).map_err(failed)?;
        }
        let mut rows = statement.raw_query();
        let mut out = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let mut fields = Vec::new();
            for (i, (column, codec)) in plan.columns.iter().zip(&query.codecs).enumerate() {
                let cell = match row.get_ref(i).map_err(failed)? {
                    ValueRef::Null => CellRef::Null,
                    ValueRef::Integer(n) => CellRef::Integer(n),
                    ValueRef::Real(r) => CellRef::Real(r),
                    ValueRef::Text(t) => CellRef::Text(t),
                    ValueRef::Blob(b) => CellRef::Blob(b),
                };
                let mut field = BytesMut::new();
                wire::write(
                    cell,
                    *codec,
                    column.ty,
                    Format::Text,
                    &self.session.style,
                    &mut field,
                )?;
                let length = i32::from_be_bytes(field[..4].try_into().unwrap());
                fields
                    .push((length >= 0).then(|| String::from_utf8_lossy(&field[4..]).into_owned()));
            }
            out.push(fields);
        }
        Ok(out)
    }

    pub fn explain(&self, sql: &str) -> String {
        let mut statement = self.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get::<_, String>(3).unwrap());
        }
        steps.join("; ")
    }
}

/// The printed text.
pub fn text(plan: &Plan) -> String {
    match &plan.action {
        Action::Query(query) => query.sqlite.clone(),
        _ => String::new(),
    }
}

/// The text for the shadow.
pub fn postgres_text(plan: &Plan) -> Option<String> {
    match &plan.action {
        Action::Query(query) => query.postgres.clone(),
        _ => None,
    }
}

/// A table whose checks only the plan can enforce.
fn guarded() -> Relation {
    let mut relation = Relation::new(20_100, "k", RelationKind::Table);
    let mut id = Column::new(1, "id", Type::new(oid::INT4));
    id.not_null = true;
    relation.columns.push(id);
    relation.columns.push(Column::new(2, "s", Type::new(oid::TEXT)));
    let n = Type::with_typmod(oid::NUMERIC, Type::numeric_typmod(10, 2));
    relation.columns.push(Column::new(3, "n", n));
    relation.primary_key = Some(vec![0]);
    relation.uniques.push(Unique {
        name: "k_pkey".to_owned(),
        oid: 20_101,
        columns: vec![0],
        primary: true,
        constraint: true,
        deferral: Default::default(),
    });
    for (name, expression) in
        [("k_s_check", "length(s) > 2 OR s ~ '^a'"), ("k_n_check", "n * 2 < 100")]
    {
        relation.checks.push(Check {
            name: name.to_owned(),
            oid: 20_102,
            expression: expression.to_owned(),
            in_plan: true,
            sqlite: false,
            not_valid: false,
        });
    }
    relation
}

fn create(connection: &rusqlite::Connection, relation: &Relation) {
    let unique = relation.name.starts_with("unique_");
    let columns: Vec<String> = relation
        .columns
        .iter()
        .map(|c| {
            let key = match (&*c.name, unique) {
                (_, true) => " UNIQUE",
                ("id", _) => " PRIMARY KEY",
                _ => "",
            };
            format!("\"{}\" {}{key}", c.sqlite_name, c.codec.sqlite_declaration(c.ty))
        })
        .collect();
    connection
        .execute_batch(&format!(
            "CREATE TABLE \"public\".\"{}\"({})",
            relation.sqlite_name,
            columns.join(", ")
        ))
        .unwrap();
    for index in &relation.indexes {
        let IndexKey::Column(at, _) = index.keys[0] else { continue };
        connection
            .execute_batch(&format!(
                "CREATE INDEX \"public\".\"{}\" ON \"{}\"(\"{}\")",
                index.name, relation.sqlite_name, relation.columns[at].sqlite_name
            ))
            .unwrap();
    }
}

fn fill(
    connection: &rusqlite::Connection,
    relation: &Relation,
    number: usize,
    row: &[Option<&str>; 15],
) {
    let mut values = vec![Value::Integer(number as i64 + 1)];
    let style = style();
    for (column, text) in relation.columns[1..].iter().zip(row) {
        let Some(text) = text else {
            values.push(Value::Null);
            continue;
        };
        let datum = crossfade::value::text::parse(column.ty, text, &style).unwrap();
        let datum = crossfade::value::coerce(datum, column.ty, true).unwrap();
        let cell = storage::encode(column.codec, column.ty, &datum).unwrap();
        values.push(value(loosened(column.codec, column.ty, cell, number)));
    }
    let marks: Vec<String> = (1..=values.len()).map(|i| format!("?{i}")).collect();
    connection
        .execute(
            &format!(
                "INSERT INTO \"public\".\"{}\" VALUES ({})",
                relation.sqlite_name,
                marks.join(", ")
            ),
            rusqlite::params_from_iter(values),
        )
        .unwrap();
}
