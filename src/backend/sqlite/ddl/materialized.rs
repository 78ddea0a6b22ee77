//! CREATE and REFRESH MATERIALIZED VIEW: a table of the file, filled by a query.
//!
//! PostgreSQL has a materialized view of the same query and fills it at the same place among the
//! commits; the rows themselves do not travel. It must never take a query whose values would not
//! come out the same there. Start at [`Editor::create_materialized`].

use super::{Editor, run};
use crate::backend::sqlite::catalog::quoted;
use crate::backend::sqlite::system::{qualified_ident, quote_ident};
use crate::error::{Error, Result, state};
use crate::schema::{Catalog, Relation, RelationKind};
use crate::sql::ast::{self, Name, Select, Statement};
use crate::sql::parse;

/// CREATE MATERIALIZED VIEW as written.
pub(super) struct Wanted<'a> {
    pub(super) columns: &'a [String],
    pub(super) query: &'a Select,
    pub(super) text: &'a str,
    pub(super) if_not_exists: bool,
    pub(super) with_data: bool,
}

fn empty() -> Error {
    Error::unsupported("a materialized view WITH NO DATA")
}

/// The query of a view, stored or not.
pub(super) fn query_of(relation: &Relation) -> Option<&str> {
    relation.view_sql.as_deref().or(relation.materialized.as_deref())
}

/// What DROP and messages call a relation.
pub(super) fn word(relation: &Relation) -> &'static str {
    match relation.kind {
        _ if relation.materialized.is_some() => "materialized view",
        RelationKind::View => "view",
        _ => "table",
    }
}

impl Editor<'_> {
    pub(super) fn create_materialized(&mut self, name: &Name, wanted: &Wanted<'_>) -> Result<()> {
        self.tag = "CREATE MATERIALIZED VIEW".to_owned();
        if self.target_schema(name, false)? {
            return Err(Error::unsupported("a temporary materialized view"));
        }
        if !self.check_free(&name.name, false, wanted.if_not_exists)? {
            return Ok(());
        }
        if !wanted.with_data {
            return Err(empty());
        }
        let plan = self.plan(Statement::Select(Box::new(wanted.query.clone())))?;
        let query = run::query_plan(&plan)?;
        let text = query.postgres.clone().filter(|_| query.frozen.is_empty());
        let Some(text) = text else {
            return Err(Error::unsupported(
                "a materialized view of values that change by themselves",
            ));
        };
        let mut namer = self.namer();
        let mut relation = self.blank(&name.name, false, &mut namer)?;
        self.output_columns(&plan, wanted.columns, &mut relation)?;
        self.make_table(&relation)?;
        relation.kind = RelationKind::View;
        relation.materialized = Some(text);
        let columns: Vec<String> = relation.columns.iter().map(|c| quote_ident(&c.name)).collect();
        let made = format!(
            "CREATE MATERIALIZED VIEW {} ({}) AS {}",
            qualified_ident(&relation.name),
            columns.join(", "),
            self.in_public(wanted.text)?
        );
        self.ship(&relation, made);
        let rows = self.fill(&relation)?;
        self.store(relation)?;
        self.tag = format!("SELECT {rows}");
        Ok(())
    }

    pub(super) fn refresh(
        &mut self,
        name: &Name,
        concurrently: bool,
        with_data: bool,
    ) -> Result<()> {
        self.tag = "REFRESH MATERIALIZED VIEW".to_owned();
        let relation = Relation::clone(&*self.existing(name)?);
        if relation.materialized.is_none() {
            let message = format!("\"{}\" is not a materialized view", relation.bare());
            return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message));
        }
        if !with_data {
            return Err(empty());
        }
        if concurrently && relation.uniques.is_empty() {
            let shown = qualified_ident(&relation.name);
            let message = format!("cannot refresh materialized view \"{shown}\" concurrently");
            let hint = "Create a unique index with no WHERE clause on one or more columns of the \
                        materialized view.";
            let code = state::OBJECT_NOT_IN_PREREQUISITE_STATE;
            return Err(Error::client(code, message).hint(hint));
        }
        self.muted(|editor| {
            let sql = format!("DELETE FROM \"public\".{}", quoted(&relation.sqlite_name));
            editor.writer.execute(&sql, &[]).map(|_| ())
        })?;
        self.fill(&relation)?;
        self.changed = true;
        let text = format!("REFRESH MATERIALIZED VIEW {}", qualified_ident(&relation.name));
        self.ship(&relation, text);
        Ok(())
    }

    /// Runs the query into the table; the rows are none of the journal's.
    fn fill(&mut self, relation: &Relation) -> Result<u64> {
        let text = relation.materialized.clone().unwrap_or_default();
        let parsed = parse(&text)?;
        let [ast::Parsed { statement: Statement::Select(query), .. }] = parsed.as_slice() else {
            return Err(Error::internal("a materialized view's text is not a query"));
        };
        let insert = ast::Insert {
            with: None,
            table: Name {
                schema: Some("public".to_owned()),
                name: relation.name.clone(),
                ..Name::default()
            },
            alias: None,
            columns: Vec::new(),
            column_positions: Vec::new(),
            source: Some(query.clone()),
            overriding: None,
            on_conflict: None,
            or: ast::Conflict::Abort,
            returning: Vec::new(),
        };
        // Only here is it a table that takes rows.
        let mut table = relation.clone();
        (table.kind, table.materialized) = (RelationKind::Table, None);
        let before = Catalog::clone(&self.catalog);
        self.catalog.relations.insert(table.name.clone(), table.into());
        let filled = self.muted(|editor| editor.execute(Statement::Insert(Box::new(insert))));
        self.catalog = before;
        filled
    }
}
