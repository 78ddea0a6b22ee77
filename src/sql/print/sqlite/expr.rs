//! Expressions: one arm for each kind, the longer ones in files of their own.

use super::Value;
use super::codec::{literal, logical};
use super::names::Printer;
use crate::error::{Error, Result};
use crate::schema::Codec;
use crate::sql::ir::{ArrayPart, CallKind, CastKind, Expr, ExprKind};
use crate::sql::{fault, types};
use crate::value::{Type, is_composite, oid};

impl Printer {
    /// An expression in whatever form comes without conversion.
    pub(super) fn value(&mut self, expr: &Expr) -> Result<Value> {
        self.value_at(expr).map_err(|e| e.at(expr.pos))
    }

    fn value_at(&mut self, expr: &Expr) -> Result<Value> {
        match &expr.kind {
            ExprKind::Column(rel, index) => self.column(*rel, *index),
            ExprKind::Excluded(index) => self.excluded(*index),
            ExprKind::OutputColumn(n) => self
                .outputs
                .get(*n as usize)
                .cloned()
                .ok_or_else(|| Error::internal("output column out of range")),
            ExprKind::Cast(inner, kind) => self.cast(inner, *kind, expr.ty),
            ExprKind::Collate(inner, name) if name == "NOCASE" => self.value(inner),
            ExprKind::Collate(inner, name) => {
                if matches!(name.as_str(), "C" | "POSIX" | "default" | "ucs_basic") {
                    self.value(inner)
                } else {
                    Err(Error::unsupported(format_args!("COLLATE \"{name}\"")))
                }
            }
            ExprKind::Call(call) => match call.kind {
                CallKind::Scalar => self.scalar_call(call, expr.ty),
                CallKind::Aggregate | CallKind::Window => self.aggregate(call, expr.ty),
                CallKind::SetReturning => Err(Error::unsupported(format_args!(
                    "the set-returning function {} outside FROM",
                    call.name
                ))),
            },
            _ => Ok(Value::logical(self.plain(expr)?, expr.ty)),
        }
    }

    /// Kinds whose value is always logical.
    fn plain(&mut self, expr: &Expr) -> Result<String> {
        Ok(match &expr.kind {
            ExprKind::Const(cell) => literal(cell),
            ExprKind::Param(n) => format!("?{n}"),
            ExprKind::Frozen(n) => format!("?{}", self.params + *n as usize + 1),
            ExprKind::Op(op) => self.operator(op, expr.ty)?,
            ExprKind::And(parts) => self.joined(parts, " AND ")?,
            ExprKind::Or(parts) => self.joined(parts, " OR ")?,
            ExprKind::Not(inner) => format!("(NOT {})", self.logical(inner)?),
            ExprKind::IsNull(inner, not) => {
                let value = self.value(inner)?;
                format!("({} IS {}NULL)", value.sql, if *not { "NOT " } else { "" })
            }
            ExprKind::IsBool(inner, value, not) => {
                let inner = self.logical(inner)?;
                let word = match value {
                    Some(true) => "TRUE",
                    Some(false) => "FALSE",
                    None => "NULL",
                };
                format!("({inner} IS {}{word})", if *not { "NOT " } else { "" })
            }
            ExprKind::IsDistinct(a, b, not) => self.is_distinct(a, b, *not)?,
            ExprKind::InList { expr, list, not } => self.in_list(expr, list, *not)?,
            ExprKind::AnyAll { expr, op, array, all } => self.any_all(expr, *op, array, *all)?,
            ExprKind::Case { branches, otherwise } => {
                self.case(branches, otherwise.as_deref(), expr.ty)?
            }
            ExprKind::Coalesce(items) => {
                let items = self.all_as(items, expr.ty)?;
                match items.as_slice() {
                    [one] => one.clone(),
                    _ => format!("coalesce({})", items.join(", ")),
                }
            }
            ExprKind::MinMax(greatest, items) => {
                let items = self.all_as(items, expr.ty)?;
                let name = if *greatest { "pg_greatest" } else { "pg_least" };
                format!("{name}({}, {})", expr.ty.oid, items.join(", "))
            }
            ExprKind::NullIf(a, b) => self.null_if(a, b, expr.ty)?,
            ExprKind::Subquery(query) => self.scalar_subquery(query)?,
            ExprKind::Exists(query) => {
                let skips = query.offset.is_some();
                let (sql, _) = self.query(query, false)?;
                // SQLite leaves out DISTINCT in EXISTS, also where rows are skipped behind it.
                if skips {
                    format!("EXISTS (SELECT 1 FROM ({sql}))")
                } else {
                    format!("EXISTS ({sql})")
                }
            }
            ExprKind::SubqueryCompare { row, op, query, all } => {
                self.subquery_compare(row, *op, query, *all)?
            }
            ExprKind::ArraySubquery(query) => self.array_subquery(query)?,
            ExprKind::Array(items) => {
                let inner = items.first().and_then(|i| crate::value::element_of(i.ty.oid));
                let name = if inner.is_some() { "pg_array_nest" } else { "pg_array" };
                let element = inner.map_or_else(|| crate::value::element_of(expr.ty.oid), |_| None);
                let item = Type::with_typmod(element.unwrap_or(expr.ty.oid), expr.ty.typmod);
                let items = self.all_as(items, item)?;
                format!("{name}({})", items.join(", "))
            }
            ExprKind::RowCompare(left, op, right) => self.row_compare(left, *op, right)?,
            ExprKind::Subscript(array, index) => {
                let (items, index) = (self.logical(array)?, self.logical(index)?);
                // Vectors of the catalog begin at 0.
                let vector = matches!(array.ty.oid, oid::INT2VECTOR | oid::OIDVECTOR);
                let index = if vector { format!("({index} + 1)") } else { index };
                format!("pg_array_get({items}, {index}, {})", expr.ty.oid)
            }
            ExprKind::ArrayPart(part, items) => self.array_part(*part, items, expr.ty)?,
            ExprKind::Record(fields, exists) => self.record(fields, exists.as_deref())?,
            ExprKind::Domain(d) => self.in_domain(d)?,
            ExprKind::Column(..)
            | ExprKind::Excluded(_)
            | ExprKind::OutputColumn(_)
            | ExprKind::Cast(..)
            | ExprKind::Collate(..)
            | ExprKind::Call(_) => logical(&self.value_at(expr)?),
        })
    }

    fn array_part(&mut self, part: ArrayPart, items: &[Expr], ty: Type) -> Result<String> {
        if matches!(ty.oid, oid::INT2VECTOR | oid::OIDVECTOR) {
            return Err(Error::unsupported("a part of a vector"));
        }
        if part == ArrayPart::At {
            let array = items.first().map_or(0, |a| a.ty.oid);
            let element = crate::value::element_of(array).unwrap_or(0);
            let items = self.all_logical(items)?;
            let [array, indexes @ ..] = items.as_slice() else {
                return Err(Error::internal("a part of an array without its operands"));
            };
            return Ok(format!("pg_array_at({array}, {element}, {})", indexes.join(", ")));
        }
        let element = crate::value::element_of(ty.oid).unwrap_or(0);
        let items = self.all_logical(items)?;
        match (part, items.as_slice()) {
            (ArrayPart::Field(index), [row]) => Ok(format!("pg_record_get({row}, {index})")),
            (ArrayPart::Slice { lower, upper }, [array, bounds @ ..]) => {
                let mut bounds = bounds.iter().map(String::as_str);
                let low = if lower { bounds.next() } else { None }.unwrap_or("1");
                let high = if upper { bounds.next() } else { None }.unwrap_or("2147483647");
                Ok(format!("pg_array_slice({array}, {low}, {high}, {element})"))
            }
            (ArrayPart::SetSlice { lower, upper }, [array, bounds @ .., value]) => {
                let mut bounds = bounds.iter().map(String::as_str);
                let low = if lower { bounds.next() } else { None }.unwrap_or("''");
                let high = if upper { bounds.next() } else { None }.unwrap_or("''");
                Ok(format!("pg_array_set_slice({array}, {low}, {high}, {value}, {element})"))
            }
            (ArrayPart::Set, [array, index, value]) => {
                Ok(format!("pg_array_set({array}, {index}, {value}, {element})"))
            }
            _ => Err(Error::internal("a part of an array without its operands")),
        }
    }

    /// A row as a value, or as JSON for functions that make JSON of it.
    fn record(&mut self, fields: &[(String, Expr)], exists: Option<&Expr>) -> Result<String> {
        let json = std::mem::take(&mut self.takes_row);
        let mut items = Vec::with_capacity(fields.len());
        for (name, expr) in fields {
            self.takes_row = json && matches!(expr.kind, ExprKind::Record(..));
            let within = self.takes_row;
            if json && types::element(expr.ty.oid).is_some_and(is_composite) {
                return Err(Error::unsupported("JSON of rows in an array"));
            }
            let value = self.value(expr)?;
            items.push(if within {
                format!("'{}', {}, {}", name.replace('\'', "''"), value.sql, oid::JSON)
            } else if json {
                let name = name.replace('\'', "''");
                let cell = super::call::json_ready(&value)?;
                format!("'{name}', {cell}, {}", value.ty.oid)
            } else if self_contained(value.ty.oid) {
                format!("{}, {}", logical(&value), value.ty.oid)
            } else {
                format!("{}, {}", super::call::as_text(&value)?, value.ty.oid)
            });
        }
        let row = if json {
            format!("pg_row_json({})", items.join(", "))
        } else {
            format!("pg_record({})", items.join(", "))
        };
        Ok(match exists {
            Some(e) => format!("(CASE WHEN {} IS NOT NULL THEN {row} END)", self.value(e)?.sql),
            None => row,
        })
    }

    fn joined(&mut self, parts: &[Expr], between: &str) -> Result<String> {
        Ok(format!("({})", self.all_logical(parts)?.join(between)))
    }

    pub(super) fn all_logical(&mut self, items: &[Expr]) -> Result<Vec<String>> {
        items.iter().map(|i| self.logical(i)).collect()
    }

    /// Expressions as values of a type that may have another length than they have.
    fn all_as(&mut self, items: &[Expr], ty: Type) -> Result<Vec<String>> {
        items.iter().map(|item| self.as_one(item, ty)).collect()
    }

    /// An expression's logical cell as one of a type's: a `char(n)` keeps its blanks where the type
    /// does not know its length.
    pub(super) fn as_one(&mut self, expr: &Expr, ty: Type) -> Result<String> {
        let value = self.value(expr)?;
        match ty.is_unfilled() && value.ty.oid == oid::BPCHAR {
            true => super::call::as_text(&value),
            false => Ok(logical(&value)),
        }
    }

    fn case(
        &mut self,
        branches: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
        ty: Type,
    ) -> Result<String> {
        let mut sql = "(CASE".to_owned();
        for (when, then) in branches {
            sql.push_str(&format!(" WHEN {} THEN {}", self.logical(when)?, self.as_one(then, ty)?));
        }
        if let Some(otherwise) = otherwise
            && !fault::on("case_else")
        {
            sql.push_str(&format!(" ELSE {}", self.as_one(otherwise, ty)?));
        }
        sql.push_str(" END)");
        Ok(sql)
    }

    fn cast(&mut self, inner: &Expr, kind: CastKind, ty: Type) -> Result<Value> {
        let mut value = self.value(inner)?;
        if value.codec == Codec::Caseless && ty.oid != value.ty.oid {
            // As another type it is compared byte by byte, whatever the file's column says.
            value = Value { codec: Codec::Identity, collated: true, ..value };
        }
        if kind == CastKind::Relabel || (value.ty.oid == ty.oid && ty.typmod == -1) {
            // The stored form goes on; what is logical takes the new type's name.
            if !changes_form(value.ty, ty) {
                let ty = if value.codec == Codec::Identity { ty } else { value.ty };
                return Ok(Value { ty, ..value });
            }
        }
        if value.ty == ty {
            return Ok(value);
        }
        let explicit = kind == CastKind::Explicit;
        let sql = super::cast::convert(&logical(&value), value.ty, ty, explicit)?;
        Ok(Value::logical(sql, ty))
    }
}

/// Whether a row may hold a type's logical cell: that of names and of `char(n)` says less
/// than its text.
fn self_contained(type_oid: u32) -> bool {
    !matches!(
        type_oid,
        oid::BPCHAR | oid::REGCLASS | oid::REGTYPE | oid::REGPROC | oid::REGNAMESPACE
    )
}

/// Whether a relabelling between two types needs another cell after all.
fn changes_form(from: Type, to: Type) -> bool {
    (to.is_unfilled() && from != to) || (to.oid == oid::INET && from.oid == oid::CIDR)
}
