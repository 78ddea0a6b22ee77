//! CREATE DOMAIN, and dropping one.
//!
//! A column of a domain is one of the base type that remembers the domain; the plans of writes
//! enforce the constraints. Start at [`Editor::create_domain`].

use std::sync::Arc;

use super::enums::printed;
use super::{Editor, dependents};
use crate::backend::sqlite::catalog::{forget_type, save_domain};
use crate::backend::sqlite::system::{format_type, quote_ident, spelled};
use crate::error::{Error, Result, state};
use crate::name::bare;
use crate::schema::{Catalog, Column};
use crate::sql::analyze;
use crate::sql::ast::{Constraint, ConstraintKind, Name, TypeName};
use crate::sql::lexer;
use crate::value::domain::{Domain, Rule};
use crate::value::enums::publish_name;
use crate::value::oid;

impl Editor<'_> {
    pub(super) fn create_domain(
        &mut self,
        name: &Name,
        ty: &TypeName,
        constraints: &[Constraint],
    ) -> Result<()> {
        self.tag = "CREATE DOMAIN".to_owned();
        let temporary = self.target_schema(name, false)?;
        self.check_type_free(&name.name, temporary)?;
        let over = analyze::named_domain(ty, &self.context())?;
        let ty_of = match &over {
            Some(over) => over.base_type(),
            None => super::column::column_type(ty, &name.name, &self.context())?,
        };
        if over.as_ref().is_some_and(|over| over.temporary && !temporary) {
            return Err(Error::unsupported("a domain that lasts over a temporary one"));
        }
        let mut made = Domain {
            oid: 0,
            name: name.name.clone(),
            base: ty_of.oid,
            typmod: ty_of.typmod,
            not_null: false,
            default: None,
            rules: Vec::new(),
            over: over.as_ref().map(|over| over.oid),
            inherited: 0,
            temporary,
        };
        let mut nullable = false;
        for constraint in constraints {
            self.domain_constraint(constraint, &mut made, &mut nullable)?;
        }
        if nullable && made.not_null {
            let message = "conflicting NULL/NOT NULL constraints";
            return Err(Error::client(state::SYNTAX_ERROR, message));
        }
        // PostgreSQL checks them by name.
        made.rules.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(over) = over {
            if made.rules.iter().any(|own| over.rules.iter().any(|rule| rule.name == own.name)) {
                let what = "a constraint named as one of the domain below";
                return Err(Error::unsupported(what));
            }
            made.not_null |= over.not_null;
            made.default = made.default.or_else(|| over.default.clone());
            made.inherited = over.rules.len();
            made.rules.splice(0..0, over.rules.iter().cloned());
        }
        let serial = self.side.new_oid();
        made.oid = self.catalog.enums.new_domain_oid(&name.name, serial);
        self.changed = true;
        if !temporary {
            save_domain(self.writer, &made)?;
        }
        publish_name(made.oid, &made.name, &spelled(&made.name));
        self.ship_type(temporary, text(&made));
        Arc::make_mut(&mut self.catalog.enums).insert_domain(made);
        Ok(())
    }

    fn domain_constraint(
        &mut self,
        constraint: &Constraint,
        made: &mut Domain,
        nullable: &mut bool,
    ) -> Result<()> {
        let not_possible = |what: &str| {
            let message = format!("{what} not possible for domains");
            Err(Error::client(state::SYNTAX_ERROR, message))
        };
        match &constraint.kind {
            ConstraintKind::NotNull => made.not_null = true,
            ConstraintKind::Null => *nullable = true,
            ConstraintKind::Default(_, text) => {
                if made.default.is_some() {
                    let message = "multiple default expressions";
                    return Err(Error::client(state::SYNTAX_ERROR, message));
                }
                made.default =
                    self.checked_default(text, &Column::new(1, analyze::VALUE, made.base_type()))?;
            }
            ConstraintKind::Check(_, text) => {
                let relation = analyze::value_relation(made.base_type());
                let expr = analyze::expression(text, &relation, &self.context())?;
                if expr.ty.oid != oid::BOOL {
                    let message = format!(
                        "argument of CHECK must be type boolean, not type {}",
                        crate::sql::types::sql_name(expr.ty.oid)
                    );
                    return Err(Error::client(state::DATATYPE_MISMATCH, message));
                }
                let name = self.rule_name(constraint.name.as_deref(), made)?;
                let oid = self.side.new_oid();
                made.rules.push(Rule {
                    name,
                    oid,
                    expression: in_capitals(&self.in_public(text)?),
                });
            }
            ConstraintKind::Unique(..) => return not_possible("unique constraints"),
            ConstraintKind::PrimaryKey(..) => return not_possible("primary key constraints"),
            ConstraintKind::Exclusion(_) => return not_possible("exclusion constraints"),
            ConstraintKind::ForeignKey { .. } => return not_possible("foreign key constraints"),
            ConstraintKind::Identity(..) | ConstraintKind::Generated(..) => {
                let message = "specifying GENERATED is not supported for domains";
                return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message));
            }
        }
        Ok(())
    }

    fn rule_name(&self, written: Option<&str>, made: &Domain) -> Result<String> {
        let taken = |name: &str| made.rules.iter().any(|r| r.name == name);
        if let Some(name) = written {
            if taken(name) {
                let message =
                    format!("constraint \"{name}\" for domain \"{}\" already exists", made.name);
                return Err(Error::client(state::DUPLICATE_OBJECT, message));
            }
            return Ok(name.to_owned());
        }
        let plain = format!("{}_check", bare(&made.name));
        let numbered = (1..).map(|n| format!("{plain}{n}"));
        let found = std::iter::once(plain.clone()).chain(numbered).find(|name| !taken(name));
        Ok(found.unwrap_or(plain))
    }

    /// Drops a domain of this name; false when there is none.
    pub(super) fn drop_domain(&mut self, name: &Name, cascade: bool) -> Result<bool> {
        let Some(domain) = self.catalog.enums.domain_named(&name.name).cloned() else {
            return Ok(false);
        };
        let mut details = Vec::new();
        for relation in self.temporary.values().chain(self.catalog.relations.values()) {
            for column in relation.columns.iter().filter(|c| c.domain == Some(domain.oid)) {
                details.push(format!(
                    "column {} of table {} depends on type {}",
                    column.name,
                    self.told(&relation.name),
                    self.told(&domain.name)
                ));
            }
        }
        for other in self.catalog.enums.domains().filter(|d| d.over == Some(domain.oid)) {
            details.push(format!(
                "type {} depends on type {}",
                self.told(&other.name),
                self.told(&domain.name)
            ));
        }
        let mut after = Catalog::clone(&self.catalog);
        Arc::make_mut(&mut after.enums).remove_domain(domain.oid);
        for view in self.broken_views(&after) {
            details.push(format!(
                "view {} depends on type {}",
                self.told(&view.name),
                self.told(&domain.name)
            ));
        }
        if !details.is_empty() && cascade {
            return Err(Error::unsupported("DROP … CASCADE of a domain in use"));
        }
        if !details.is_empty() {
            return Err(dependents(&format!("type {}", self.told(&domain.name)), &details));
        }
        Arc::make_mut(&mut self.catalog.enums).remove_domain(domain.oid);
        forget_type(self.writer, domain.oid)?;
        self.changed = true;
        self.ship_type(domain.temporary, format!("DROP DOMAIN {}", printed(&domain.name)));
        Ok(true)
    }
}

/// A condition as PostgreSQL shows it: the word for the value in capitals.
fn in_capitals(text: &str) -> String {
    let mut out = text.to_owned();
    let words: Vec<(usize, usize)> = lexer::tokens(text)
        .filter(|t| &text[t.start..t.end] == analyze::VALUE)
        .map(|t| (t.start, t.end))
        .collect();
    for (start, end) in words.into_iter().rev() {
        out.replace_range(start..end, "VALUE");
    }
    out
}

/// CREATE DOMAIN, for PostgreSQL.
/// CREATE DOMAIN. One over another is made over the base type, with the constraints of both: it
/// takes the same values and says the same of others.
pub(crate) fn text(domain: &Domain) -> String {
    let ty = format_type(domain.base, domain.typmod);
    let mut text = format!("CREATE DOMAIN {} AS {ty}", printed(&domain.name));
    if let Some(default) = &domain.default {
        text.push_str(&format!(" DEFAULT {default}"));
    }
    if domain.not_null {
        text.push_str(" NOT NULL");
    }
    for rule in &domain.rules {
        let name = quote_ident(&rule.name);
        text.push_str(&format!(" CONSTRAINT {name} CHECK ({})", rule.expression));
    }
    text
}
