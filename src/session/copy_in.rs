//! COPY FROM STDIN: rows into one prepared INSERT on the writer.

use std::sync::Arc;

use tokio::task::block_in_place;

use super::copy::input::{Input, Next};
use super::copy::options::{Layout, Options};
use super::reply::{self, Tag};
use super::{Session, Step, Stop, frozen, query};
use crate::backend::sqlite::Statement as Prepared;
use crate::backend::sqlite::events::Event;
use crate::backend::sqlite::functions::session::{Scope, next_turn};
use crate::error::{Error, Result, state};
use crate::name::bare;
use crate::schema::{Relation, RelationKind, Sequence};
use crate::sql::Context;
use crate::sql::ast::{
    Alias, Copy, Expr, ExprKind, Insert, Name, Overriding, Select, SelectBody, SimpleSelect,
    Statement, TableRef, Target,
};
use crate::sql::plan::{Action, FrozenSource, Plan, QueryPlan};
use crate::sql::trigger::looks;
use crate::value::{Cell, Format, Style, wire as codec};
use crate::wire::{Frontend, write};

/// One COPY's target while rows arrive.
struct Loading {
    table: String,
    input: Input,
    plan: Arc<Plan>,
    statement: Prepared,
    format: Format,
    /// Frozen values; those drawn for each row are replaced.
    frozen: Vec<Cell>,
    style: Style,
    /// Rows that have arrived, and those of them that were inserted.
    arrived: u64,
    rows: u64,
    /// The number of the whole COPY among all statements.
    turn: u64,
}

impl Session {
    /// COPY … FROM STDIN
    pub(super) async fn copy_in(&mut self, copy: &Copy) -> Step<Tag> {
        let options = Options::parse(&copy.options, true)?;
        if !copy.stdio {
            return Err(files("COPY FROM").into());
        }
        let name = copy.table.as_ref().ok_or_else(|| Error::internal("COPY without a table"))?;
        let relation = self.copy_relation(name)?;
        if relation.kind == RelationKind::View {
            return Err(Error::client(
                state::WRONG_OBJECT_TYPE,
                format!("cannot copy to view \"{}\"", name.name),
            )
            .hint("To enable copying to a view, provide an INSTEAD OF INSERT trigger.")
            .into());
        }
        if self.transaction.read_only {
            return Err(query::read_only("COPY FROM").into());
        }
        let columns = copy_columns(&relation, &copy.columns)?;
        let plan = self.plan_insert(name, &relation, &columns, copy.filter.as_ref())?;
        self.set_aside_live()?;
        self.take_writer().await?;
        let Action::Query(insert) = &plan.action else {
            return Err(Error::internal("not an insert").into());
        };
        let drawn = insert.frozen.iter().any(|f| matches!(f.source, FrozenSource::NextValue(_)));
        let frozen = if drawn {
            vec![Cell::Null; insert.frozen.len()]
        } else {
            self.freeze(&insert.frozen, &[], &[]).await?
        };
        let format = if options.layout == Layout::Binary { Format::Binary } else { Format::Text };
        write::copy_in_response(self.io.out(), format, &vec![format; columns.len()]);
        self.flush().await?;
        let writer = self.transaction.writer().ok_or_else(|| Error::internal("no writer"))?;
        let statement = block_in_place(|| {
            writer.mark()?;
            writer.prepare(&insert.sqlite)
        })?;
        let loading = Loading {
            table: relation.name.clone(),
            input: Input::new(options, columns),
            plan: Arc::clone(&plan),
            statement,
            format,
            frozen,
            style: self.labelled(&self.settings.derived().style),
            arrived: 0,
            rows: 0,
            turn: next_turn(),
        };
        self.receive(loading, insert).await
    }

    async fn receive(&mut self, mut loading: Loading, insert: &QueryPlan) -> Step<Tag> {
        if let Some(writer) = self.transaction.writer() {
            self.cancel.running(writer.interrupter());
        }
        let outcome = self.receive_all(&mut loading, insert).await;
        self.cancel.stopped();
        outcome?;
        let Loading { statement, plan, rows, turn, .. } = loading;
        drop(statement);
        if let Some(writer) = self.transaction.writer() {
            let scope = self.scope_drawing(None, turn);
            block_in_place(|| {
                let _scope = Scope::enter(scope);
                writer.run_queued(turn, &|_| 0)
            })?;
        }
        if let Some(writer) = self.transaction.writer().filter(|w| w.recording()) {
            let note = super::watch::copy_note(&plan, insert, rows);
            writer.note(&Event::Statement(Box::new(note)));
        }
        Ok(reply::counted("COPY", rows))
    }

    async fn receive_all(&mut self, loading: &mut Loading, insert: &QueryPlan) -> Step<()> {
        loop {
            let message = self.copy_message().await?;
            match message {
                Frontend::CopyData(data) => {
                    loading.input.push(&data)?;
                    self.load(loading, insert)?;
                }
                Frontend::CopyDone => {
                    loading.input.finish();
                    return Ok(self.load(loading, insert)?);
                }
                Frontend::CopyFail(reason) => {
                    return Err(Error::client(
                        state::QUERY_CANCELED,
                        format!("COPY from stdin failed: {}", reason.as_str()),
                    )
                    .context(format!("COPY {}, line {}", loading.table, loading.arrived + 1))
                    .into());
                }
                Frontend::Flush | Frontend::Sync => {}
                Frontend::Terminate => return Err(Stop::Gone),
                _ => {
                    return Err(Error::client(
                        state::PROTOCOL_VIOLATION,
                        "unexpected message type during COPY from stdin",
                    )
                    .into());
                }
            }
        }
    }

    async fn copy_message(&mut self) -> Step<Frontend> {
        if let Some(message) = self.io.read_buffered()? {
            return Ok(message);
        }
        let cancel = Arc::clone(&self.cancel);
        let deadline = self.deadline;
        let message = tokio::select! {
            biased;
            message = self.io.read() => message?,
            error = cancel.requested() => return Err(error.into()),
            () = super::wait::until(deadline) => {
                return Err(super::cancel::statement_timeout().into());
            }
        };
        message.ok_or(Stop::Gone)
    }

    /// Inserts all whole rows that have arrived.
    fn load(&mut self, loading: &mut Loading, insert: &QueryPlan) -> Result<()> {
        let scope = self.scope_drawing(None, loading.turn);
        let shared = Arc::clone(&self.shared);
        let Some(writer) = self.transaction.writer() else {
            return Err(Error::internal("no writer"));
        };
        let catalog = self.catalog();
        let mut drawn: Vec<(&Sequence, i64)> = Vec::new();
        let outcome = block_in_place(|| {
            let _scope = Scope::enter(scope);
            loop {
                match loading.input.next() {
                    Err(error) => {
                        return Err(error.context(loading.input.row_context(&loading.table)));
                    }
                    Ok(Next::More | Next::End) => return Ok(()),
                    Ok(Next::Row) => {}
                }
                for (i, frozen) in insert.frozen.iter().enumerate() {
                    if let FrozenSource::NextValue(name) = &frozen.source {
                        let sequence = frozen::sequence_of(&catalog, name)?;
                        let value = frozen::draw(&shared, writer, sequence)?;
                        drawn.clear();
                        drawn.push((sequence, value));
                        loading.frozen[i] = Cell::Integer(value);
                    }
                }
                loading.insert_row()?;
                loading.arrived += 1;
                loading.rows += writer.changes();
            }
        });
        if let Some((sequence, value)) = drawn.last() {
            self.sequences.gave(sequence, *value);
        }
        outcome
    }

    /// The relation COPY names.
    pub(super) fn copy_relation(&self, name: &Name) -> Result<Arc<Relation>> {
        let catalog = self.catalog();
        let search_path = &self.settings.derived().search_path;
        let temporary = self.temporary();
        Context { catalog: &catalog, temporary, search_path, param_types: &[] }.user_relation(name)
    }

    fn plan_insert(
        &self,
        name: &Name,
        relation: &Relation,
        columns: &[String],
        filter: Option<&Expr>,
    ) -> Result<Arc<Plan>> {
        let values = (1..=columns.len())
            .map(|n| Expr { kind: ExprKind::Param(u32::try_from(n).unwrap_or(0)), pos: 0 })
            .collect();
        let mut select = Select { body: SelectBody::Values(vec![values]), ..Select::default() };
        if let Some(filter) = filter {
            select = filtered(select, relation, columns, filter)?;
        }
        let types: Vec<u32> = columns
            .iter()
            .filter_map(|c| relation.column(c))
            .map(|i| relation.columns[i].ty.oid)
            .collect();
        let insert = Insert {
            with: None,
            table: name.clone(),
            alias: None,
            columns: columns.to_vec(),
            column_positions: Vec::new(),
            source: if columns.is_empty() { None } else { Some(Box::new(select)) },
            overriding: Some(Overriding::System),
            on_conflict: None,
            or: crate::sql::ast::Conflict::Abort,
            returning: Vec::new(),
        };
        let plan = self.plan_statement(Statement::Insert(Box::new(insert)), "COPY", &types);
        match plan {
            // What the others hold by default is not there to be asked for.
            Err(error)
                if filter.is_some()
                    && columns.len() < relation.columns.len()
                    && error.sqlstate() == state::UNDEFINED_COLUMN =>
            {
                Err(Error::unsupported("a WHERE of COPY over a column that is not copied"))
            }
            plan => plan,
        }
    }
}

/// The arriving row, if WHERE holds for it.
fn filtered(row: Select, relation: &Relation, columns: &[String], filter: &Expr) -> Result<Select> {
    if looks(filter).1 {
        let message = "cannot use subquery in COPY FROM WHERE condition";
        return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message));
    }
    let column = |name: &String| Target {
        expr: Expr { kind: ExprKind::Column(vec![name.clone()]), pos: 0 },
        alias: None,
    };
    let alias = Alias { name: bare(&relation.name).to_owned(), columns: columns.to_vec() };
    let body = SimpleSelect {
        targets: columns.iter().map(column).collect(),
        from: vec![TableRef::Subquery {
            query: Box::new(row),
            alias: Some(alias),
            lateral: false,
            pos: 0,
        }],
        filter: Some(filter.clone()),
        ..SimpleSelect::default()
    };
    Ok(Select { body: SelectBody::Simple(Box::new(body)), ..Select::default() })
}

impl Loading {
    fn insert_row(&mut self) -> Result<()> {
        for i in 0..self.input.len() {
            let cell = match self.input.field(i) {
                None => Cell::Null,
                Some(bytes) => codec::read(self.plan.params[i], self.format, bytes, &self.style)
                    .map_err(|e| e.context(self.input.field_context(&self.table, i)))?,
            };
            self.statement.bind(i + 1, cell.as_ref())?;
        }
        let columns = self.plan.params.len();
        let wanted = self.statement.parameter_count();
        for (i, cell) in self.frozen.iter().enumerate().take(wanted.saturating_sub(columns)) {
            self.statement.bind(columns + i + 1, cell.as_ref())?;
        }
        let stepped = self.statement.step();
        self.statement.reset();
        stepped.map(|_| ()).map_err(|e| e.context(self.input.row_context(&self.table)))
    }
}

/// COPY from or to a file of the server.
pub(super) fn files(what: &str) -> Error {
    Error::unsupported(format_args!("{what} a file or program"))
        .hint("Use STDIN or STDOUT, or psql's \\copy.")
}

/// The columns COPY names, or all that can be written.
pub(super) fn copy_columns(relation: &Relation, named: &[String]) -> Result<Vec<String>> {
    if named.is_empty() {
        let plain = relation.columns.iter().filter(|c| c.generated.is_none());
        return Ok(plain.map(|c| c.name.clone()).collect());
    }
    for (i, name) in named.iter().enumerate() {
        let Some(column) = relation.column(name) else {
            return Err(Error::client(
                state::UNDEFINED_COLUMN,
                format!("column \"{name}\" of relation \"{}\" does not exist", relation.name),
            ));
        };
        if named[..i].contains(name) {
            return Err(Error::client(
                state::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            ));
        }
        if relation.columns[column].generated.is_some() {
            return Err(Error::client(
                state::INVALID_COLUMN_REFERENCE,
                format!("column \"{name}\" is a generated column"),
            )
            .detail("Generated columns cannot be used in COPY."));
        }
    }
    Ok(named.to_vec())
}
