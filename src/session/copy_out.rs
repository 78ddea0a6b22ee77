//! COPY TO STDOUT: a table's or query's rows, streamed.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::task::block_in_place;

use super::copy::options::Options;
use super::copy::output::Output;
use super::query::{Call, Running};
use super::reply::{self, Tag};
use super::{OUTPUT_BYTES, Session, Step};
use crate::backend::sqlite::functions::session::Scope;
use crate::error::{Error, Result, state};
use crate::schema::RelationKind;
use crate::sql::ast::{
    Copy, Expr, ExprKind, Select, SelectBody, SimpleSelect, Statement, TableRef, Target,
};
use crate::sql::plan::{Action, QueryPlan};
use crate::value::{Format, wire as codec};
use crate::wire::write;

impl Session {
    /// COPY … TO STDOUT
    pub(super) async fn copy_out(&mut self, copy: &Copy) -> Step<Tag> {
        let options = Options::parse(&copy.options, false)?;
        if !copy.stdio {
            return Err(super::copy_in::files("COPY TO").into());
        }
        let statement = self.copy_query(copy)?;
        let plan = self.plan_statement(statement, "COPY", &[])?;
        let Action::Query(query) = &plan.action else {
            return Err(Error::internal("not a query").into());
        };
        if plan.columns.is_empty() && query.tag != "SELECT" {
            return Err(Error::client(
                state::FEATURE_NOT_SUPPORTED,
                "COPY query must have a RETURNING clause",
            )
            .into());
        }
        let names: Vec<String> = plan.columns.iter().map(|c| c.name.clone()).collect();
        let output = Output::new(options, &names);
        let format = if output.binary() { Format::Binary } else { Format::Text };
        let call =
            Call { plan: Arc::clone(&plan), params: Arc::from([]), formats: Arc::from([format]) };
        let mut running = self.start(&call, query).await?;
        write::copy_out_response(self.io.out(), format, &vec![format; names.len()]);
        // The binary signature goes with the first row, a header line by itself.
        let mut piece = BytesMut::new();
        if output.head(&names, &mut piece) && !output.binary() {
            write::copy_data(self.io.out(), &piece);
            piece.clear();
        }
        let rows = self.send_rows(&call, query, &mut running, &output, &mut piece).await;
        self.cancel.stopped();
        if let Some(draws) = &running.draws {
            self.sequences = draws.values();
        }
        let rows = rows?;
        self.settle_draws(running.draws.as_deref())?;
        if output.tail(&mut piece) {
            write::copy_data(self.io.out(), &piece);
        }
        write::copy_done(self.io.out());
        Ok(reply::counted("COPY", rows))
    }

    async fn send_rows(
        &mut self,
        call: &Call,
        query: &QueryPlan,
        running: &mut Running,
        output: &Output,
        piece: &mut BytesMut,
    ) -> Step<u64> {
        let format = if output.binary() { Format::Binary } else { Format::Text };
        let style = self.settings.derived().style.clone();
        let columns = &call.plan.columns;
        let mut fields = BytesMut::new();
        let mut rows = 0;
        loop {
            let scope = self.scope_of(running);
            let out = self.io.out();
            let done = block_in_place(|| -> Result<bool> {
                let _scope = Scope::enter(scope);
                while out.len() < OUTPUT_BYTES {
                    if !running.step()? {
                        return Ok(true);
                    }
                    fields.clear();
                    for (i, column) in columns.iter().enumerate() {
                        let stored =
                            query.codecs.get(i).copied().unwrap_or(crate::schema::Codec::Identity);
                        codec::write(
                            running.column(i),
                            stored,
                            column.ty,
                            format,
                            &style,
                            &mut fields,
                        )?;
                    }
                    output.row(columns.len(), &fields, piece);
                    write::copy_data(out, piece);
                    piece.clear();
                    rows += 1;
                }
                Ok(false)
            })?;
            if done {
                return Ok(rows);
            }
            if let Some(error) = self.cancel.error() {
                return Err(error.into());
            }
            self.flush().await?;
        }
    }

    /// The query whose rows are copied.
    fn copy_query(&self, copy: &Copy) -> Result<Statement> {
        if let Some(query) = &copy.query {
            return Ok(Statement::clone(query));
        }
        let name = copy.table.as_ref().ok_or_else(|| Error::internal("COPY without a table"))?;
        let relation = self.copy_relation(name)?;
        if relation.kind == RelationKind::View {
            return Err(Error::client(
                state::WRONG_OBJECT_TYPE,
                format!("cannot copy from view \"{}\"", name.name),
            )
            .hint("Try the COPY (SELECT ...) TO variant."));
        }
        let columns = super::copy_in::copy_columns(&relation, &copy.columns)?;
        let targets = columns
            .into_iter()
            .map(|c| Target { expr: Expr { kind: ExprKind::Column(vec![c]), pos: 0 }, alias: None })
            .collect();
        let simple = SimpleSelect {
            targets,
            from: vec![TableRef::Table { name: name.clone(), alias: None }],
            ..SimpleSelect::default()
        };
        let body = SelectBody::Simple(Box::new(simple));
        Ok(Statement::Select(Box::new(Select { body, ..Select::default() })))
    }
}
