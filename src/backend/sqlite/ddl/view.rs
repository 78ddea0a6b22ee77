//! CREATE VIEW: the definition is kept as PostgreSQL text and expanded in the plan.

use super::{Editor, run};
use crate::backend::sqlite::system::{qualified_ident, quote_ident};
use crate::error::{Error, Result, SqlState, state};
use crate::name;
use crate::schema::{Codec, Column, Relation, RelationKind};
use crate::sql::ast::{Name, Select, Statement};
use crate::value::oid;

/// What a view is made from.
pub(super) struct Definition<'a> {
    /// Column names, when written.
    pub(super) columns: &'a [String],
    /// The query.
    pub(super) query: &'a Select,
    /// Its text.
    pub(super) text: &'a str,
}

impl Editor<'_> {
    pub(super) fn create_view(
        &mut self,
        name: &Name,
        view: &Definition<'_>,
        replace: bool,
        temporary: bool,
    ) -> Result<()> {
        self.tag = "CREATE VIEW".to_owned();
        let plan = self.plan(Statement::Select(Box::new(view.query.clone())))?;
        let query = run::query_plan(&plan)?;
        let mut temporary = self.target_schema(name, temporary)?;
        if query.temporary && !temporary {
            // A view over what only this session has is such a thing itself.
            if name::is_key(&name.name) || name.schema.is_some() {
                return Err(Error::unsupported("a view over a temporary table in this schema"));
            }
            let message = format!("view \"{}\" will be a temporary view", name.name);
            self.notice(SqlState(*b"00000"), message);
            temporary = true;
        }
        // The name is a key when it is not temporary.
        let qualified = Name {
            schema: Some(if temporary { "pg_temp" } else { "public" }.to_owned()),
            ..name.clone()
        };
        let former = self.find(&qualified)?;
        let former = match former {
            Some(found) if replace && found.kind != RelationKind::View => {
                let message = format!("\"{}\" is not a view", name.name);
                return Err(Error::client(state::WRONG_OBJECT_TYPE, message));
            }
            Some(found) if replace => Some(found),
            _ => {
                self.check_free(&name.name, temporary, false)?;
                None
            }
        };
        if former.as_ref().is_some_and(|f| f.view_sql.is_none()) {
            return Err(Error::unsupported("replacing a view of the SQLite file"));
        }
        if view.columns.len() > plan.columns.len() {
            let message = "CREATE VIEW specifies more column names than columns";
            return Err(Error::client(state::SYNTAX_ERROR, message));
        }
        let oid = former.as_ref().map_or_else(|| self.side.new_oid(), |f| f.oid);
        let mut relation = Relation::new(oid, name.name.clone(), RelationKind::View);
        if temporary {
            "pg_temp".clone_into(&mut relation.schema);
        }
        // The printed text has its stars expanded, so columns added to a table later do not
        // appear in the view. With frozen values it cannot stand for the query.
        let expanded = query.postgres.clone().filter(|_| query.frozen.is_empty());
        relation.view_sql = Some(match expanded {
            Some(text) => text,
            None => self.in_public(view.text)?,
        });
        for (position, output) in plan.columns.iter().enumerate() {
            let column = view.columns.get(position).unwrap_or(&output.name);
            if relation.column(column).is_some() {
                let message = format!("column \"{column}\" specified more than once");
                return Err(Error::client(state::DUPLICATE_COLUMN, message));
            }
            let mut ty = output.ty;
            if ty.oid == oid::UNKNOWN {
                ty.oid = oid::TEXT;
            }
            let attnum = i16::try_from(position + 1).unwrap_or(i16::MAX);
            let column = Column::new(attnum, column.clone(), ty);
            relation.columns.push(Column { codec: Codec::Identity, ..column });
        }
        if let Some(former) = &former {
            replaceable(former, &relation)?;
        }
        let columns: Vec<String> = relation.columns.iter().map(|c| quote_ident(&c.name)).collect();
        let text = format!(
            "CREATE {}VIEW {} ({}) AS {}",
            if replace { "OR REPLACE " } else { "" },
            qualified_ident(&relation.name),
            columns.join(", "),
            self.in_public(view.text)?
        );
        self.ship(&relation, text);
        self.store(relation)
    }
}

/// CREATE OR REPLACE may only add columns at the end.
fn replaceable(former: &Relation, view: &Relation) -> Result<()> {
    let refuse = |message: String| Err(Error::client(state::INVALID_TABLE_DEFINITION, message));
    if view.columns.len() < former.columns.len() {
        return refuse("cannot drop columns from view".to_owned());
    }
    for (old, new) in former.columns.iter().zip(&view.columns) {
        if old.name != new.name {
            return refuse(format!(
                "cannot change name of view column \"{}\" to \"{}\"",
                old.name, new.name
            ));
        }
        if old.ty != new.ty {
            let name = crate::backend::sqlite::system::format_type;
            return refuse(format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                old.name,
                name(old.ty.oid, old.ty.typmod),
                name(new.ty.oid, new.ty.typmod)
            ));
        }
    }
    Ok(())
}
