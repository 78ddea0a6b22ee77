//! Which nodes of the typed tree were met.
//!
//! Every match is exhaustive: a new variant does not compile until it has a name here. Start at
//! [`Coverage::statement`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crossfade::backend::sqlite::inspect::Copy;
use crossfade::backend::sqlite::{Install, Options, Sqlite, catalog, functions, system};
use crossfade::schema::Catalog;
use crossfade::sql::ir::{
    Body, Bound, Call, CallKind, CastKind, Expr, ExprKind, From, InsertSource, Query, Sort,
    Statement,
};
use crossfade::sql::{self, Context};

/// Every name there is.
pub const NODES: &[&str] = &[
    "Select",
    "Insert",
    "Update",
    "Delete",
    "Body::Select",
    "Body::Values",
    "Body::Set",
    "Cte",
    "Distinct",
    "DistinctOn",
    "GroupBy",
    "Having",
    "Limit",
    "Offset",
    "From::Table",
    "From::Cte",
    "From::Subquery",
    "From::Lateral",
    "From::Function",
    "From::Join",
    "Const",
    "Param",
    "Frozen",
    "Column",
    "OutputColumn",
    "Excluded",
    "Op",
    "Call::Scalar",
    "Call::Aggregate",
    "Call::Window",
    "Call::SetReturning",
    "Call::Filter",
    "Call::OrderBy",
    "Call::Distinct",
    "Call::Over",
    "Frame",
    "And",
    "Or",
    "Not",
    "IsNull",
    "IsBool",
    "IsDistinct",
    "InList",
    "AnyAll",
    "Case",
    "Coalesce",
    "MinMax",
    "NullIf",
    "Cast::Explicit",
    "Cast::Assignment",
    "Cast::Implicit",
    "Cast::Relabel",
    "Collate",
    "Subquery",
    "Exists",
    "SubqueryCompare",
    "ArraySubquery",
    "Array",
    "RowCompare",
    "Subscript",
    "ArrayPart",
    "Record",
    "Insert::Values",
    "Insert::Query",
    "OnConflict::Nothing",
    "OnConflict::Update",
    "Returning",
    "RowAssignments",
    "Update::From",
    "Delete::Using",
];

/// Counts by name.
#[derive(Default)]
pub struct Coverage(pub BTreeMap<&'static str, u64>);

/// The catalog of a file that another process serves.
pub fn catalog_of(file: &Path) -> Arc<Catalog> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let copy = Copy::of(file).unwrap();
        let identity = system::Identity { database: "fuzz".into(), user: "fuzz".into() };
        let shown = system::State::new(Arc::default(), identity, None);
        let install: Arc<Install> = Arc::new(move |connection| {
            functions::install(connection)?;
            system::install(connection, &shown)
        });
        let sqlite = Sqlite::open(Options::new(copy.path()), install).unwrap();
        let writer = sqlite.writer(None).await.unwrap();
        let prepared = catalog::prepare(&writer).unwrap();
        writer.rollback();
        prepared.catalog
    })
}

impl Coverage {
    /// Analyses a text and counts its nodes.
    pub fn text(&mut self, text: &str, catalog: &Catalog) {
        let temporary = BTreeMap::new();
        let path = ["public".to_owned()];
        let context =
            Context { catalog, temporary: &temporary, search_path: &path, param_types: &[] };
        let Ok(parsed) = sql::parse(text) else { return };
        for one in &parsed {
            if let Ok(analysis) = sql::analyze::analyze(&one.statement, &context) {
                self.statement(&analysis.statement);
            }
        }
    }

    fn hit(&mut self, name: &'static str) {
        debug_assert!(NODES.contains(&name), "{name} is not listed");
        *self.0.entry(name).or_default() += 1;
    }

    fn hit_if(&mut self, condition: bool, name: &'static str) {
        if condition {
            self.hit(name);
        }
    }

    /// What was met and what was not.
    pub fn report(&self) -> String {
        let missing: Vec<&str> =
            NODES.iter().copied().filter(|n| !self.0.contains_key(n)).collect();
        let met: Vec<String> = self.0.iter().map(|(n, c)| format!("{n} {c}")).collect();
        format!(
            "IR nodes met: {} of {}\n  {}\n  never: {}",
            self.0.len(),
            NODES.len(),
            met.join(", "),
            missing.join(", ")
        )
    }

    pub fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Select(query) => {
                self.hit("Select");
                self.query(query);
            }
            Statement::Insert(insert) => {
                self.hit("Insert");
                insert.ctes.iter().for_each(|c| self.query(&c.query));
                match &insert.source {
                    InsertSource::Values(rows) => {
                        self.hit("Insert::Values");
                        rows.iter().flatten().for_each(|e| self.expr(e));
                    }
                    InsertSource::Query { query, exprs, .. } => {
                        self.hit("Insert::Query");
                        self.query(query);
                        exprs.iter().for_each(|e| self.expr(e));
                    }
                }
                if let Some(conflict) = &insert.on_conflict {
                    match &conflict.update {
                        None => self.hit("OnConflict::Nothing"),
                        Some((sets, filter)) => {
                            self.hit("OnConflict::Update");
                            sets.iter().for_each(|(_, e)| self.expr(e));
                            filter.iter().for_each(|e| self.expr(e));
                        }
                    }
                }
                self.returning(&insert.returning);
            }
            Statement::Update(update) => {
                self.hit("Update");
                update.ctes.iter().for_each(|c| self.query(&c.query));
                update.assignments.iter().for_each(|(_, e)| self.expr(e));
                self.hit_if(!update.row_assignments.is_empty(), "RowAssignments");
                update.row_assignments.iter().for_each(|(_, q)| self.query(q));
                self.hit_if(!update.from.is_empty(), "Update::From");
                update.from.iter().for_each(|f| self.from(f));
                update.filter.iter().for_each(|e| self.expr(e));
                self.returning(&update.returning);
            }
            Statement::Delete(delete) => {
                self.hit("Delete");
                delete.ctes.iter().for_each(|c| self.query(&c.query));
                self.hit_if(!delete.using.is_empty(), "Delete::Using");
                delete.using.iter().for_each(|f| self.from(f));
                delete.filter.iter().for_each(|e| self.expr(e));
                self.returning(&delete.returning);
            }
        }
    }

    fn returning(&mut self, list: &[Expr]) {
        self.hit_if(!list.is_empty(), "Returning");
        list.iter().for_each(|e| self.expr(e));
    }

    fn query(&mut self, query: &Query) {
        self.hit_if(!query.ctes.is_empty(), "Cte");
        query.ctes.iter().for_each(|c| self.query(&c.query));
        match &query.body {
            Body::Select(select) => {
                self.hit("Body::Select");
                match &select.distinct {
                    None => {}
                    Some(on) if on.is_empty() => self.hit("Distinct"),
                    Some(_) => self.hit("DistinctOn"),
                }
                self.hit_if(!select.group_by.is_empty(), "GroupBy");
                self.hit_if(select.having.is_some(), "Having");
                select.targets.iter().for_each(|e| self.expr(e));
                select.from.iter().for_each(|f| self.from(f));
                select.filter.iter().for_each(|e| self.expr(e));
                select.group_by.iter().for_each(|e| self.expr(e));
                select.having.iter().for_each(|e| self.expr(e));
            }
            Body::Values(rows) => {
                self.hit("Body::Values");
                rows.iter().flatten().for_each(|e| self.expr(e));
            }
            Body::Set { left, right, .. } => {
                self.hit("Body::Set");
                self.query(left);
                self.query(right);
            }
        }
        self.hit_if(query.limit.is_some(), "Limit");
        self.hit_if(query.offset.is_some(), "Offset");
        self.sorts(&query.order_by);
        query.limit.iter().chain(&query.offset).for_each(|e| self.expr(e));
    }

    fn sorts(&mut self, list: &[Sort]) {
        list.iter().for_each(|s| self.expr(&s.expr));
    }

    fn from(&mut self, from: &From) {
        match from {
            From::Table { .. } => self.hit("From::Table"),
            From::Cte { .. } => self.hit("From::Cte"),
            From::Subquery { query, lateral, .. } => {
                self.hit(if *lateral { "From::Lateral" } else { "From::Subquery" });
                self.query(query);
            }
            From::Function { call, .. } => {
                self.hit("From::Function");
                self.call(call);
            }
            From::Join { left, right, on, .. } => {
                self.hit("From::Join");
                self.from(left);
                self.from(right);
                on.iter().for_each(|e| self.expr(e));
            }
        }
    }

    fn call(&mut self, call: &Call) {
        self.hit(match call.kind {
            CallKind::Scalar => "Call::Scalar",
            CallKind::Aggregate => "Call::Aggregate",
            CallKind::Window => "Call::Window",
            CallKind::SetReturning => "Call::SetReturning",
        });
        self.hit_if(call.filter.is_some(), "Call::Filter");
        self.hit_if(call.distinct, "Call::Distinct");
        self.hit_if(!call.order_by.is_empty(), "Call::OrderBy");
        if let Some(over) = &call.over {
            self.hit("Call::Over");
            if let Some(frame) = &over.frame {
                self.hit("Frame");
                for bound in [&frame.start, &frame.end] {
                    match bound {
                        Bound::Preceding(e) | Bound::Following(e) => self.expr(e),
                        Bound::UnboundedPreceding
                        | Bound::CurrentRow
                        | Bound::UnboundedFollowing => {}
                    }
                }
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        let name = match &expr.kind {
            ExprKind::Const(_) => "Const",
            ExprKind::Param(_) => "Param",
            ExprKind::Frozen(_) => "Frozen",
            ExprKind::Column(..) => "Column",
            ExprKind::OutputColumn(_) => "OutputColumn",
            ExprKind::Excluded(_) => "Excluded",
            ExprKind::Op(_) => "Op",
            ExprKind::Call(call) => {
                self.call(call);
                ""
            }
            ExprKind::And(_) => "And",
            ExprKind::Or(_) => "Or",
            ExprKind::Not(_) => "Not",
            ExprKind::IsNull(..) => "IsNull",
            ExprKind::IsBool(..) => "IsBool",
            ExprKind::IsDistinct(..) => "IsDistinct",
            ExprKind::InList { .. } => "InList",
            ExprKind::AnyAll { .. } => "AnyAll",
            ExprKind::Case { .. } => "Case",
            ExprKind::Coalesce(_) => "Coalesce",
            ExprKind::MinMax(..) => "MinMax",
            ExprKind::NullIf(..) => "NullIf",
            ExprKind::Cast(_, kind) => match kind {
                CastKind::Explicit => "Cast::Explicit",
                CastKind::Assignment => "Cast::Assignment",
                CastKind::Implicit => "Cast::Implicit",
                CastKind::Relabel => "Cast::Relabel",
            },
            ExprKind::Collate(..) => "Collate",
            ExprKind::Subquery(query) => {
                self.query(query);
                "Subquery"
            }
            ExprKind::Exists(query) => {
                self.query(query);
                "Exists"
            }
            ExprKind::SubqueryCompare { query, .. } => {
                self.query(query);
                "SubqueryCompare"
            }
            ExprKind::ArraySubquery(query) => {
                self.query(query);
                "ArraySubquery"
            }
            ExprKind::Array(_) => "Array",
            ExprKind::RowCompare(..) => "RowCompare",
            ExprKind::Subscript(..) => "Subscript",
            ExprKind::ArrayPart(..) => "ArrayPart",
            ExprKind::Record(..) => "Record",
            // The schemas made here have no domains: tests/typing plays them.
            ExprKind::Domain(_) => "",
        };
        self.hit_if(!name.is_empty(), name);
        expr.children(&mut |child| self.expr(child));
    }
}
