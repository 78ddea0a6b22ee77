//! ALTER COLUMN TYPE, and filling a new column with a computed default.
//!
//! Values are converted by PostgreSQL's own rules: a second column of the new type is added,
//! filled by an UPDATE that goes through the planner, and takes the old one's place in a
//! rebuild.

use super::alter::type_text;
use super::column::{column_type, locale, ordered_key};
use super::rebuild::{Rebuild, schema_of};
use super::{Editor, no_column, physical, postgres, run};
use crate::backend::sqlite::catalog::{quoted, rows};
use crate::backend::sqlite::events::{DdlEvent, Event};
use crate::backend::sqlite::system::quote_ident;
use crate::error::{Error, Result, state};
use crate::schema::{Catalog, Codec, Column, Relation};
use crate::sql::ast::{Assignment, Expr, ExprKind, Name, Statement, TypeName, Update};
use crate::sql::plan::FrozenSource;
use crate::value::{Cell, Type, coerce, oid, storage};

/// Name of the second column while values are converted.
const CONVERTED: &str = "_crossfade_converted";

impl Editor<'_> {
    pub(super) fn alter_type(
        &mut self,
        mut relation: Relation,
        column: &str,
        (to, collation): (&TypeName, Option<&Name>),
        using: Option<&(Expr, String)>,
    ) -> Result<()> {
        let Some(position) = relation.column(column) else {
            return Err(no_column(column, &relation.name));
        };
        let ty = column_type(to, column, &self.context())?;
        let current = relation.columns[position].clone();
        if current.generated.is_some() {
            return Err(Error::unsupported("ALTER TYPE of a generated column"));
        }
        if let Some(generated) = self.generated_from(&relation, position).first() {
            let message = "cannot alter type of a column used by a generated column";
            let detail =
                format!("Column \"{column}\" is used by generated column \"{generated}\".");
            return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message).detail(detail));
        }
        self.check_unused(&relation, position)?;
        let locale = locale(collation, ty)?;
        let keyed = relation.uniques.iter().any(|u| u.columns.contains(&position));
        if locale.is_some() && keyed {
            return Err(ordered_key());
        }
        let before = relation.clone();
        let codec = Codec::for_new(ty);
        let collation = codec.collation().map(str::to_owned);
        let mut changed = Column { ty, codec, locale, collation, domain: None, ..current.clone() };
        if using.is_none() && widens(&current, ty) {
            changed.codec = current.codec;
            relation.columns[position] = changed;
            self.refit(&before, &relation, position)?;
            return self.retyped(relation, position, using.map(|(_, text)| text.as_str()));
        }
        if relation.foreign_keys.iter().any(|k| k.columns.contains(&position)) {
            return Err(Error::unsupported("ALTER TYPE of a column of a foreign key"));
        }
        relation.columns[position] = changed.clone();
        for unique in &relation.uniques {
            if unique.columns.contains(&position) {
                super::constraint::unique_type(&relation, position)?;
            }
        }
        let mut table = self.stored_table(&relation)?;
        let mut probe = crate::sql::stored::Table::default();
        let default = self.default_cell(&changed);
        let mut definition = physical::column_of(&changed, &relation, default, &mut probe)?;
        let Some(stored) = table.columns.iter_mut().find(|c| c.name == current.sqlite_name) else {
            return Err(Error::internal("a column is not in the stored definition"));
        };
        definition.primary_key = stored.primary_key.take();
        definition.unique = std::mem::take(&mut stored.unique);
        definition.checks = std::mem::take(&mut stored.checks);
        let keeps_rowid = relation.rowid_alias == Some(position)
            && definition.declared.as_deref() == Some("INTEGER");
        if relation.rowid_alias == Some(position) && !keeps_rowid {
            return Err(Error::unsupported("this ALTER TYPE of an integer primary key"));
        }
        if relation.rowid_alias.is_none() && relation.primary_key.as_deref() == Some(&[position]) {
            physical::keep_apart(&mut definition);
        }
        *stored = definition;
        self.convert(&relation, &current, &changed, using.map(|(expr, _)| expr))?;
        self.refit(&before, &relation, position)?;
        let sources = vec![(current.sqlite_name.clone(), quoted(CONVERTED))];
        self.rebuild(&relation, &table, &Rebuild { sources, dropped: Vec::new() })?;
        self.retyped(relation, position, using.map(|(_, text)| text.as_str()))
    }

    fn retyped(&mut self, relation: Relation, position: usize, using: Option<&str>) -> Result<()> {
        let column = &relation.columns[position];
        // PostgreSQL converts its own rows by the same expression.
        let using = using.map_or_else(String::new, |text| format!(" USING {text}"));
        let locale = column.locale.as_ref();
        let collate =
            locale.map_or_else(String::new, |l| format!(" COLLATE pg_catalog.{}", quote_ident(l)));
        let text = format!(
            "ALTER TABLE {} ALTER COLUMN {} TYPE {}{collate}{using}",
            postgres::name(&relation),
            quote_ident(&column.name),
            type_text(column)
        );
        self.ship(&relation, text);
        self.store(relation)
    }

    /// A column that a view uses keeps its type, as in PostgreSQL.
    fn check_unused(&self, relation: &Relation, position: usize) -> Result<()> {
        if relation.schema == "pg_temp" {
            return Ok(());
        }
        let mut after = Catalog::clone(&self.catalog);
        let mut without = relation.clone();
        without.columns.remove(position);
        without.uniques.clear();
        without.primary_key = None;
        after.relations.insert(without.name.clone(), without.into());
        if self.broken_views(&after).is_empty() {
            return Ok(());
        }
        let message = "cannot alter type of a column used by a view or rule";
        Err(Error::client(state::FEATURE_NOT_SUPPORTED, message))
    }

    /// Adds the second column and fills it with the converted values.
    fn convert(
        &mut self,
        relation: &Relation,
        current: &Column,
        changed: &Column,
        using: Option<&Expr>,
    ) -> Result<()> {
        let converted = Column {
            name: CONVERTED.to_owned(),
            sqlite_name: CONVERTED.to_owned(),
            attnum: i16::MAX,
            not_null: false,
            default: None,
            identity: None,
            sequence: None,
            ..changed.clone()
        };
        let mut probe = crate::sql::stored::Table::default();
        let definition = physical::column_of(&converted, relation, None, &mut probe)?;
        let sql = format!(
            "ALTER TABLE {}.{} ADD COLUMN {}",
            schema_of(relation),
            quoted(&relation.sqlite_name),
            physical::column_sql(&definition)
        );
        self.writer.execute(&sql, &[])?;
        let mut both = relation.clone();
        let position = both.column(&current.name).unwrap_or_default();
        both.columns[position] = current.clone();
        both.columns.push(converted);
        // Keys and checks are about the values before; they hold again after the rebuild.
        both.checks.clear();
        both.triggers.clear();
        let own = Expr { kind: ExprKind::Column(vec![current.name.clone()]), pos: 0 };
        let update = Update {
            with: None,
            table: Name { schema: Some(both.schema.clone()), name: both.name.clone(), pos: 0 },
            alias: None,
            assignments: vec![Assignment {
                columns: vec![CONVERTED.to_owned()],
                element: None,
                value: using.cloned().unwrap_or(own),
                pos: 0,
            }],
            from: Vec::new(),
            filter: None,
            returning: Vec::new(),
        };
        let recording = self.writer.recording();
        self.with_relation(both, |editor| {
            let statement = Statement::Update(Box::new(update));
            if recording {
                let plan = editor.plan(statement.clone())?;
                let query = run::query_plan(&plan)?;
                if query.volatile || !query.frozen.is_empty() {
                    return Err(Error::unsupported(
                        "ALTER TYPE with a volatile USING while PostgreSQL follows",
                    ));
                }
            }
            editor.muted(|e| e.execute(statement).map(|_| ()))
        })
        .map_err(|error| cannot_cast(error.without_position(), current, changed, using.is_some()))
    }

    /// Runs with a relation replaced in the catalog, and puts the former one back.
    pub(super) fn with_relation<R>(
        &mut self,
        relation: Relation,
        body: impl FnOnce(&mut Self) -> Result<R>,
    ) -> Result<R> {
        let name = relation.name.clone();
        let temporary = relation.schema == "pg_temp";
        let former = if temporary {
            self.temporary.insert(name.clone(), relation.into())
        } else {
            self.catalog.relations.insert(name.clone(), relation.into())
        };
        let result = body(self);
        if let Some(former) = former {
            if temporary {
                self.temporary.insert(name, former);
            } else {
                self.catalog.relations.insert(name, former);
            }
        }
        result
    }

    /// Gives existing rows the computed default of a column that was added. The column's
    /// rows travel as row images behind the DDL event that adds it.
    pub(super) fn fill_column(&mut self, relation: &Relation, position: usize) -> Result<()> {
        let texts = std::mem::take(&mut self.postgres);
        if !texts.is_empty() {
            self.writer.note(&Event::Ddl(DdlEvent { tag: self.tag.clone(), postgres: texts }));
        }
        let column = &relation.columns[position];
        let default = column.default.clone().unwrap_or_default();
        let plan = self.plan_text(&format!("SELECT ({default})::{}", type_text(column)))?;
        let query = run::query_plan(&plan)?;
        let codec = query.codecs.first().copied().unwrap_or(Codec::Identity);
        let ty = plan.columns.first().map_or(column.ty, |c| c.ty);
        let each = query.frozen.iter().any(|f| {
            matches!(
                f.source,
                FrozenSource::NextValue(_)
                    | FrozenSource::Random
                    | FrozenSource::Uuid
                    | FrozenSource::ClockTime
            )
        });
        let table = quoted(&relation.sqlite_name);
        let schema = schema_of(relation);
        let name = quoted(&column.sqlite_name);
        if !(each || query.volatile) {
            let value = self.default_value(query, codec, ty, column)?;
            let sql = format!("UPDATE {schema}.{table} SET {name} = ?1");
            self.writer.execute(&sql, &[value])?;
            return Ok(());
        }
        if relation.without_rowid {
            return Err(Error::unsupported("a computed default for a table WITHOUT ROWID"));
        }
        let sql = format!("SELECT rowid FROM {schema}.{table} ORDER BY rowid");
        let keys = rows(self.writer, &sql, &[])?;
        let update = format!("UPDATE {schema}.{table} SET {name} = ?1 WHERE rowid = ?2");
        for key in keys {
            let value = self.default_value(query, codec, ty, column)?;
            let rowid = key.into_iter().next().unwrap_or_default();
            self.writer.execute(&update, &[value, rowid])?;
        }
        Ok(())
    }

    /// One evaluation of a default, as the column stores it.
    fn default_value(
        &self,
        query: &crate::sql::plan::QueryPlan,
        codec: Codec,
        ty: Type,
        column: &Column,
    ) -> Result<Cell> {
        let mut statement = self.bound(query, 0)?;
        if !statement.step()? {
            return Ok(Cell::Null);
        }
        let datum = storage::decode(codec, ty, statement.column(0))?;
        let datum = coerce(datum, column.ty, false)?;
        storage::encode(column.codec, column.ty, &datum)
    }
}

/// Whether every value of a column stays as it is under another type.
fn widens(current: &Column, to: Type) -> bool {
    // Under a declaration that makes numbers of texts: the column gets one that does not.
    if matches!(current.codec, Codec::Among(_)) {
        return false;
    }
    let from = current.ty;
    let rank = |o: u32| match o {
        oid::INT2 => 1,
        oid::INT4 => 2,
        oid::INT8 => 3,
        _ => 0,
    };
    if from == to {
        return true;
    }
    if rank(from.oid) > 0 && rank(to.oid) >= rank(from.oid) {
        return true;
    }
    let text_like = |o: u32| matches!(o, oid::TEXT | oid::VARCHAR);
    let codec = matches!(current.codec, Codec::Identity | Codec::TextLoose);
    codec
        && text_like(from.oid)
        && text_like(to.oid)
        && match (from.length(), to.length()) {
            (_, None) => true,
            (Some(from), Some(to)) => to >= from,
            (None, Some(_)) => false,
        }
}

/// The message of ALTER TYPE for a cast that assignment does not make.
fn cannot_cast(error: Error, current: &Column, changed: &Column, using: bool) -> Error {
    if error.sqlstate() != state::DATATYPE_MISMATCH {
        return error;
    }
    let name = &current.name;
    let ty = crate::sql::types::sql_name(changed.ty.oid);
    if using {
        let message = format!(
            "result of USING clause for column \"{name}\" cannot be cast automatically to type {ty}"
        );
        return Error::client(state::DATATYPE_MISMATCH, message)
            .hint("You might need to add an explicit cast.");
    }
    let message = format!("column \"{name}\" cannot be cast automatically to type {ty}");
    Error::client(state::DATATYPE_MISMATCH, message).hint(format!(
        "You might need to specify \"USING {}::{}\".",
        quote_ident(name),
        type_text(changed)
    ))
}
