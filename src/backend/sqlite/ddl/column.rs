//! Column definitions: types, defaults, identity, generated values.

use std::sync::Arc;

use super::{Editor, sequence};
use crate::backend::sqlite::adopt::{Namer, nextval};
use crate::error::{Error, Result, state};
use crate::name::beside;
use crate::schema::{Codec, Column, Generated, Identity, Relation, RelationKind, Sequence};
use crate::sql::Context;
use crate::sql::analyze;
use crate::sql::ast::{ColumnDef, Constraint, ConstraintKind, Name, SequenceOptions, TypeName};
use crate::sql::ir::{Expr, ExprKind};
use crate::value::composite::is_made;
use crate::value::{Cell, Datum, Style, Type, coerce, is_enum, is_range, oid, storage, text};

/// Names every PostgreSQL table has already.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];

/// A new column with what belongs to it.
pub(super) struct NewColumn {
    pub(super) column: Column,
    /// The sequence of a serial or identity column.
    pub(super) sequence: Option<Sequence>,
    /// Constraints that concern the whole table: keys, checks, references.
    pub(super) constraints: Vec<Constraint>,
}

/// The collation of a column, when it is not one that compares bytes.
///
/// # Errors
/// 42704 and 42804 as PostgreSQL; 0A000 for a language with rules of its own for letters.
pub(super) fn locale(collation: Option<&Name>, ty: Type) -> Result<Option<String>> {
    let Some(collation) = collation else { return Ok(None) };
    let name = collation.name.as_str();
    let element = crate::value::element_of(ty.oid).unwrap_or(ty.oid);
    if crate::sql::types::category(element) != b'S' {
        let shown = crate::sql::types::sql_name(ty.oid);
        let message = format!("collations are not supported by type {shown}");
        return Err(Error::client(state::DATATYPE_MISMATCH, message).at(collation.pos));
    }
    if matches!(name, "C" | "POSIX" | "default" | "ucs_basic" | "C.UTF-8" | "C.utf8") {
        return Ok(None);
    }
    if crate::backend::sqlite::system::collation_oid(name).is_none() {
        let message = format!("collation \"{name}\" for encoding \"UTF8\" does not exist");
        return Err(Error::client(state::UNDEFINED_OBJECT, message).at(collation.pos));
    }
    // Upper and lower case are others there.
    if ["tr", "az", "lt", "el"].iter().any(|language| name.starts_with(language)) {
        return Err(Error::unsupported(format!("collation \"{name}\"")).at(collation.pos));
    }
    Ok(Some(name.to_owned()))
}

/// 0A000 for a key that the two back ends would sort differently.
pub(super) fn ordered_key() -> Error {
    Error::unsupported("a key column of another collation than \"C\"")
}

/// Serial types by their names.
pub(super) fn serial(name: &TypeName) -> Option<u32> {
    if name.schema.is_some() || name.array {
        return None;
    }
    match name.name.as_str() {
        "smallserial" | "serial2" => Some(oid::INT2),
        "serial" | "serial4" => Some(oid::INT4),
        "bigserial" | "serial8" => Some(oid::INT8),
        _ => None,
    }
}

/// The type of a column, refused when its values cannot be kept.
pub(super) fn column_type(name: &TypeName, column: &str, context: &Context<'_>) -> Result<Type> {
    let ty = analyze::type_name(name, context)?;
    let element = crate::value::element_of(ty.oid).unwrap_or(ty.oid);
    match element {
        oid::BOOL
        | oid::BYTEA
        | oid::CHAR
        | oid::NAME
        | oid::INT8
        | oid::INT2
        | oid::INT4
        | oid::TEXT
        | oid::OID
        | oid::JSON
        | oid::FLOAT4
        | oid::FLOAT8
        | oid::BPCHAR
        | oid::VARCHAR
        | oid::DATE
        | oid::TIME
        | oid::TIMESTAMP
        | oid::TIMESTAMPTZ
        | oid::INTERVAL
        | oid::NUMERIC
        | oid::UUID
        | oid::JSONB
        | oid::TSVECTOR
        | oid::REGCLASS
        | oid::REGTYPE
        | oid::TIMETZ
        | oid::INET
        | oid::CIDR
        | oid::MACADDR
        | oid::BIT
        | oid::VARBIT
        | oid::CITEXT
        | oid::HSTORE => {
            if let Some((_, scale)) = ty.precision_scale()
                && scale < 0
            {
                return Err(Error::unsupported("a numeric column of negative scale").at(name.pos));
            }
            Ok(ty)
        }
        label if is_enum(label) || is_range(label) => Ok(ty),
        made if is_made(made) => super::composite::storable(made, context.catalog)
            .map(|()| ty)
            .map_err(|e| e.at(name.pos)),
        oid::RECORD | oid::VOID | oid::UNKNOWN | oid::ANY | oid::ANYARRAY | oid::ANYELEMENT => {
            let message = format!("column \"{column}\" has pseudo-type {}", name.name);
            Err(Error::client(state::INVALID_TABLE_DEFINITION, message))
        }
        _ => Err(Error::unsupported(format!("a column of type {}", name.name)).at(name.pos)),
    }
}

impl Editor<'_> {
    /// A new column of `relation`, which holds the columns before it.
    pub(super) fn new_column(
        &mut self,
        def: &ColumnDef,
        relation: &Relation,
        namer: &mut Namer,
    ) -> Result<NewColumn> {
        if SYSTEM_COLUMNS.contains(&def.name.as_str()) {
            let message =
                format!("column name \"{}\" conflicts with a system column name", def.name);
            return Err(Error::client(state::DUPLICATE_COLUMN, message).at(def.pos));
        }
        let serial = serial(&def.ty);
        let domain = analyze::named_domain(&def.ty, &self.context())?;
        let ty = match (serial, &domain) {
            (Some(type_oid), _) => Type::new(type_oid),
            (None, Some(domain)) => domain.base_type(),
            (None, None) => column_type(&def.ty, &def.name, &self.context())?,
        };
        let element = crate::value::element_of(ty.oid).unwrap_or(ty.oid);
        let fleeting = self.catalog.enums.get(element).is_some_and(|made| made.temporary)
            || domain.as_ref().is_some_and(|domain| domain.temporary);
        if relation.kind != RelationKind::Temporary && fleeting {
            return Err(Error::unsupported("a temporary type in a table that lasts"));
        }
        let attnum = relation.columns.iter().map(|c| c.attnum).max().unwrap_or(0) + 1;
        let mut new = NewColumn {
            column: Column::new(attnum, def.name.clone(), ty),
            sequence: None,
            constraints: Vec::new(),
        };
        super::create::apart(&mut new.column, relation);
        new.column.domain = domain.map(|domain| domain.oid);
        new.column.locale = locale(def.collation.as_ref(), ty)?;
        if serial.is_some() {
            self.owned_sequence(&mut new, relation, &SequenceOptions::default(), namer)?;
            new.column.not_null = true;
        }
        let mut nullable = false;
        for constraint in &def.constraints {
            self.column_constraint(constraint, def, relation, &mut new, &mut nullable, namer)?;
        }
        if new.column.domain.is_some()
            && (new.column.generated.is_some() || new.column.identity.is_some())
        {
            return Err(Error::unsupported("a computed column of a domain"));
        }
        if nullable && new.column.not_null {
            return Err(conflicting_nulls(&def.name, &relation.name));
        }
        Ok(new)
    }

    fn column_constraint(
        &mut self,
        constraint: &Constraint,
        def: &ColumnDef,
        relation: &Relation,
        new: &mut NewColumn,
        nullable: &mut bool,
        namer: &mut Namer,
    ) -> Result<()> {
        let twice = |what: &str| {
            let message = format!(
                "multiple {what} specified for column \"{}\" of table \"{}\"",
                def.name, relation.name
            );
            Error::client(state::SYNTAX_ERROR, message)
        };
        match &constraint.kind {
            ConstraintKind::NotNull => new.column.not_null = true,
            ConstraintKind::Null => *nullable = true,
            ConstraintKind::Default(_, text) => {
                if new.column.default.is_some() {
                    return Err(twice("default values"));
                }
                new.column.default = self.checked_default(text, &new.column)?;
            }
            ConstraintKind::Identity(always, options) => {
                if !matches!(new.column.ty.oid, oid::INT2 | oid::INT4 | oid::INT8) {
                    let message = "identity column type must be smallint, integer, or bigint";
                    return Err(Error::client(state::INVALID_PARAMETER_VALUE, message));
                }
                if new.column.identity.is_some() {
                    return Err(twice("identity specifications"));
                }
                if new.column.default.is_some() {
                    let message = format!(
                        "both default and identity specified for column \"{}\" of table \"{}\"",
                        def.name, relation.name
                    );
                    return Err(Error::client(state::SYNTAX_ERROR, message));
                }
                self.owned_sequence(new, relation, options, namer)?;
                let kind = if *always { Identity::Always } else { Identity::ByDefault };
                new.column.identity = Some(kind);
                new.column.not_null = true;
            }
            ConstraintKind::Generated(_, text) => {
                new.column.generated = Some(Generated {
                    expression: text.clone(),
                    stored: true,
                    sqlite: false,
                    in_plan: false,
                });
            }
            ConstraintKind::Exclusion(_) => return Err(Error::unsupported("EXCLUDE")),
            kind => new
                .constraints
                .push(Constraint { kind: on_column(kind, &def.name), ..constraint.clone() }),
        }
        Ok(())
    }

    /// Gives a column its own sequence and the default that draws from it.
    pub(super) fn owned_sequence(
        &mut self,
        new: &mut NewColumn,
        relation: &Relation,
        options: &SequenceOptions,
        namer: &mut Namer,
    ) -> Result<()> {
        let name = match &options.name {
            Some(name) => beside(&relation.name, name),
            None => {
                let name = namer.object(&relation.name, Some(&new.column.name), "seq");
                beside(&relation.name, &name)
            }
        };
        let verb = if self.tag == "ALTER TABLE" { "ALTER TABLE" } else { "CREATE TABLE" };
        self.detail(format!(
            "{verb} will create implicit sequence \"{name}\" for serial column \"{}.{}\"",
            relation.name, new.column.name
        ));
        let mut sequence = sequence::definition(&name, options, Some(new.column.ty))?;
        sequence.oid = self.side.new_oid();
        // No relation is called so: the next start drops what a session left behind.
        let temporary = relation.schema == "pg_temp";
        let owner = if temporary { "pg_temp" } else { relation.name.as_str() };
        sequence.owned_by = Some((owner.to_owned(), new.column.name.clone()));
        new.column.sequence = Some(name.clone());
        new.column.default = Some(nextval(&name));
        new.sequence = Some(sequence);
        Ok(())
    }

    /// Checks a default's expression and type; the text that is kept. None for NULL.
    pub(super) fn checked_default(&self, text: &str, column: &Column) -> Result<Option<String>> {
        let nothing = Relation::new(0, "", crate::schema::RelationKind::Table);
        let expr = analyze::expression(text, &nothing, &self.context()).map_err(|error| {
            if error.sqlstate() == state::UNDEFINED_COLUMN {
                let message = "cannot use column reference in DEFAULT expression";
                return Error::client(state::FEATURE_NOT_SUPPORTED, message);
            }
            error
        })?;
        if is_null(&expr) {
            return Ok(None);
        }
        if let ExprKind::Const(Cell::Text(value)) = &expr.kind
            && matches!(expr.ty.oid, oid::UNKNOWN | oid::TEXT)
        {
            // A bad literal is refused now, as PostgreSQL does.
            let enums = Arc::clone(&self.catalog.enums);
            let style = Style { enums, ..Style::default() };
            let datum = text::parse(column.ty, value, &style)?;
            if literal_of(text) == Some(text) {
                return Ok(Some(constant_text(text, &datum, column.ty, &style)));
            }
        } else {
            self.check_assignable(&expr, column)?;
            if expr.ty.oid == column.ty.oid
                && let Some(literal) = literal_of(text)
                && let Some(datum) = constant(&expr, Type::new(column.ty.oid))
            {
                let style = Style { enums: Arc::clone(&self.catalog.enums), ..Style::default() };
                return Ok(Some(constant_text(literal, &datum, column.ty, &style)));
            }
        }
        // A sequence of public is kept by its bare name.
        let text = &regclass(self.in_public(text)?);
        let bare = text.strip_prefix("nextval('public.").filter(|t| t.ends_with("'::regclass)"));
        Ok(Some(bare.map_or_else(|| text.clone(), |rest| format!("nextval('{rest}"))))
    }

    fn check_assignable(&self, expr: &Expr, column: &Column) -> Result<()> {
        let (from, to) = (expr.ty.oid, column.ty.oid);
        let text_like = |o: u32| matches!(o, oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME);
        let row = from == oid::RECORD && is_made(to);
        let fits = row
            || from == to
            || crate::sql::types::tables().cast(from, to).is_some()
            || text_like(to);
        if fits {
            return Ok(());
        }
        let message = format!(
            "column \"{}\" is of type {} but default expression is of type {}",
            column.name,
            crate::sql::types::sql_name(to),
            crate::sql::types::sql_name(from)
        );
        Err(Error::client(state::DATATYPE_MISMATCH, message)
            .hint("You will need to rewrite or cast the expression."))
    }

    /// The stored cell of a constant default, for the file's own DEFAULT; None when the
    /// default is computed for each row.
    pub(super) fn default_cell(&self, column: &Column) -> Option<Cell> {
        let text = column.default.as_deref()?;
        if column.sequence.is_some() {
            return None;
        }
        let nothing = Relation::new(0, "", crate::schema::RelationKind::Table);
        let expr = analyze::expression(text, &nothing, &self.context()).ok()?;
        let datum = constant(&expr, column.ty)?;
        storage::encode(column.codec, column.ty, &datum).ok()
    }
}

/// The string of a text that is one, or one with the name of a type (no modifier).
fn literal_of(text: &str) -> Option<&str> {
    let mut tokens = crate::sql::lexer::tokens(text);
    let first = tokens.next().filter(|t| t.kind == crate::sql::lexer::Kind::Text)?;
    let cast = tokens.next().is_none_or(|t| &text[t.start..t.end] == "::");
    (first.start == 0 && cast && !text[first.end..].contains(['(', '+', '|']))
        .then(|| &text[first.start..first.end])
}

/// A literal of a column's type as PostgreSQL prints it. What depends on the time zone of
/// whoever looks stays as it was written.
fn constant_text(written: &str, datum: &Datum, ty: Type, style: &Style) -> String {
    let ty = Type::new(ty.oid);
    let mut out = Vec::new();
    text::format(datum, ty, style, &mut out);
    let value = String::from_utf8_lossy(&out);
    let digit = value.starts_with(|c: char| c.is_ascii_digit());
    let name = match ty.oid {
        oid::BOOL => return if value == "t" { "true" } else { "false" }.to_owned(),
        oid::INT4 if digit => return value.into_owned(),
        oid::NUMERIC if digit && value.contains(['.', 'e', 'E']) => return value.into_owned(),
        oid::BPCHAR => "bpchar".to_owned(),
        other => crate::backend::sqlite::system::format_type(other, -1),
    };
    if matches!(ty.oid, oid::TIMESTAMPTZ | oid::TIMETZ) {
        return format!("{written}::{name}");
    }
    format!("'{}'::{name}", value.replace('\'', "''"))
}

fn is_null(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Const(cell) => cell.is_null(),
        ExprKind::Cast(inner, _) => is_null(inner),
        _ => false,
    }
}

/// A constant expression as a value of a type.
fn constant(expr: &Expr, ty: Type) -> Option<Datum> {
    let style = Style::default();
    match &expr.kind {
        ExprKind::Cast(inner, _) => {
            let inner = constant(inner, expr.ty)?;
            convert(inner, expr.ty, ty)
        }
        ExprKind::Const(Cell::Text(value)) if matches!(expr.ty.oid, oid::UNKNOWN | oid::TEXT) => {
            let datum = text::parse(ty, value, &style).ok()?;
            coerce(datum, ty, false).ok()
        }
        ExprKind::Const(cell) => {
            let datum = storage::decode(Codec::Identity, expr.ty, cell.as_ref()).ok()?;
            convert(datum, expr.ty, ty)
        }
        _ => None,
    }
}

/// A value of one type as another, through its text where both sides agree on that.
fn convert(datum: Datum, from: Type, to: Type) -> Option<Datum> {
    if datum.is_null() {
        return Some(Datum::Null);
    }
    if from.oid == to.oid {
        return coerce(datum, to, false).ok();
    }
    let number = |o: u32| {
        matches!(o, oid::INT2 | oid::INT4 | oid::INT8 | oid::NUMERIC | oid::FLOAT4 | oid::FLOAT8)
    };
    let text_like = |o: u32| matches!(o, oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::UNKNOWN);
    let json = |o: u32| matches!(o, oid::JSON | oid::JSONB);
    let moments = |o: u32| matches!(o, oid::DATE | oid::TIMESTAMP);
    let by_text = (number(from.oid) && number(to.oid))
        || text_like(from.oid)
        || text_like(to.oid)
        || (json(from.oid) && json(to.oid))
        || (moments(from.oid) && to.oid == oid::TIMESTAMP);
    if !by_text {
        return None;
    }
    let style = Style::default();
    let mut out = Vec::new();
    text::format(&datum, from, &style, &mut out);
    let mut text_form = String::from_utf8(out).ok()?;
    if matches!(to.oid, oid::INT2 | oid::INT4 | oid::INT8) && text_form.contains(['.', 'e', 'E']) {
        // Rounding is the cast's business: evaluated for each row instead.
        return None;
    }
    if to.oid == oid::TIMESTAMP && from.oid == oid::DATE {
        text_form.push_str(" 00:00:00");
    }
    let datum = text::parse(to, &text_form, &style).ok()?;
    coerce(datum, to, false).ok()
}

fn conflicting_nulls(column: &str, table: &str) -> Error {
    let message = format!(
        "conflicting NULL/NOT NULL declarations for column \"{column}\" of table \"{table}\""
    );
    Error::client(state::SYNTAX_ERROR, message)
}

/// A column constraint as the table constraint it means.
fn on_column(kind: &ConstraintKind, column: &str) -> ConstraintKind {
    let own = || vec![column.to_owned()];
    match kind {
        ConstraintKind::PrimaryKey(_, index) => ConstraintKind::PrimaryKey(own(), index.clone()),
        ConstraintKind::Unique(_, index, nulls) => {
            ConstraintKind::Unique(own(), index.clone(), *nulls)
        }
        ConstraintKind::ForeignKey {
            table, referenced, on_delete, on_update, match_full, ..
        } => ConstraintKind::ForeignKey {
            columns: own(),
            table: table.clone(),
            referenced: referenced.clone(),
            on_delete: *on_delete,
            on_update: *on_update,
            match_full: *match_full,
        },
        other => other.clone(),
    }
}

/// Records the sequence of a new column.
pub(super) fn keep_sequence(editor: &mut Editor<'_>, sequence: Sequence) -> Result<()> {
    crate::backend::sqlite::catalog::save_sequence(editor.writer, &sequence, sequence.oid)?;
    editor.catalog.sequences.insert(sequence.name.clone(), Arc::new(sequence));
    Ok(())
}

/// A sequence's default as PostgreSQL keeps it: the name is of type regclass.
fn regclass(text: String) -> String {
    let inner = text.strip_prefix("nextval('").and_then(|rest| rest.strip_suffix("')"));
    match inner.filter(|name| !name.replace("''", "").contains('\'')) {
        Some(name) => format!("nextval('{name}'::regclass)"),
        None => text,
    }
}
