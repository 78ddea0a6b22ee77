//! SQLite's own functions and operators as PostgreSQL expressions of the same meaning.
//!
//! Inline expressions only: nothing is installed on the server. It must never print a form
//! whose value could differ without an error: that is 0A000, and the statement is then told
//! as untranslatable. Start at [`Printer::lite_call`].

mod compare;
mod json;
mod printf;
mod round;
mod text;
mod time;

use super::Printer;
use super::literal::type_text;
use crate::error::{Error, Result};
use crate::sql::ir::{Call, CallKind, Expr, ExprKind, Sort};
use crate::sql::lite::functions::{AGGREGATE, Function, SCALAR, WINDOW, find};
use crate::value::{Cell, Type, oid};

/// A number at the beginning of a text, as a regular expression.
const LEADING: &str = "'^\\s*[+-]?(?:\\d+(?:\\.\\d*)?|\\.\\d+)(?:[eE][+-]?\\d+)?'";
/// A text that is a number as a whole.
const WHOLE: &str = "'^\\s*[+-]?(\\d+(\\.\\d*)?|\\.\\d+)([eE][+-]?\\d+)?\\s*$'";

/// What PostgreSQL holds a value of SQLite's kinds in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Bool,
    Int,
    /// float8: a real.
    Real,
    /// float8: an integer or a real; the flag says that whole numbers are integers.
    Num(bool),
    Text,
    Blob,
    /// jsonb: a number or a string.
    Any,
}

fn held(ty: Type) -> Held {
    match ty.oid {
        oid::BOOL => Held::Bool,
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID => Held::Int,
        oid::FLOAT4 | oid::FLOAT8 => Held::Real,
        oid::NUMERIC => Held::Num(ty.typmod == -78),
        oid::BYTEA => Held::Blob,
        oid::JSONB if ty.typmod < -1 => Held::Any,
        _ => Held::Text,
    }
}

/// The type PostgreSQL is told for one of SQLite's dialect.
pub(super) fn plain_type(ty: Type) -> Type {
    match ty {
        Type { oid: oid::NUMERIC, typmod } if typmod < -1 => Type::new(oid::FLOAT8),
        Type { oid: oid::JSONB, typmod } if typmod < -1 => Type::new(oid::JSONB),
        ty => ty,
    }
}

fn cannot(what: impl std::fmt::Display) -> Error {
    Error::unsupported(format_args!("{what} in SQLite's dialect on PostgreSQL"))
}

/// Whether text sorts by bytes only when told so.
pub(super) fn is_text(ty: Type) -> bool {
    matches!(ty.oid, oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME)
}

fn has_window(expr: &Expr) -> bool {
    let mut found = matches!(&expr.kind, ExprKind::Call(c) if c.kind == CallKind::Window);
    expr.children(&mut |e| found |= has_window(e));
    found
}

fn constant_text(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Const(Cell::Text(text)) => Some(text),
        _ => None,
    }
}

fn constant_whole(expr: &Expr) -> Option<i64> {
    match &expr.kind {
        ExprKind::Const(Cell::Integer(n)) => Some(*n),
        _ => None,
    }
}

/// A string literal.
fn quote(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

impl Printer<'_> {
    /// `body` over `v.x`, which is the expression's value, computed once.
    fn once(&mut self, expr: &Expr, body: &str) -> Result<String> {
        if has_window(expr) {
            return Err(cannot("this function over a window function"));
        }
        let value = self.expr(expr)?;
        Ok(over(&value, body))
    }

    /// A function or operator of SQLite's.
    pub(super) fn lite_call(&mut self, call: &Call, ty: Type) -> Result<String> {
        if call.kind != CallKind::Scalar {
            return self.lite_aggregate(call, ty);
        }
        let args = &call.args;
        match (call.name.as_str(), args.as_slice()) {
            (
                "num" | "int" | "real" | "number" | "whole" | "text" | "any" | "affine" | "null"
                | "plus" | "blob" | "nocase" | "binary" | "integral" | "text_of" | "uuid_hex"
                | "uuid_blob" | "unix_seconds" | "unix_millis" | "interval_micros",
                [arg],
            ) => self.conversion(&call.name, arg, ty),
            ("=" | "<>" | "<" | "<=" | ">" | ">=" | "IS" | "IS NOT", [a, b]) => {
                self.lite_comparison(&call.name, a, b)
            }
            ("IN", [x, list @ ..]) => self.lite_in(x, list),
            ("LIKE" | "GLOB", [x, pattern, escape @ ..]) => {
                self.lite_like(&call.name, x, pattern, escape.first())
            }
            ("->" | "->>", [document, path]) => self.arrow(&call.name, document, path),
            ("-" | "~", [x]) => Ok(format!("({} {})", call.name, self.expr(x)?)),
            ("||", [a, b]) => Ok(format!("({} || {})", self.expr(a)?, self.expr(b)?)),
            ("+" | "-" | "*" | "/" | "%" | "&" | "|" | "<<" | ">>", [a, b]) => {
                self.lite_arithmetic(&call.name, a, b, ty)
            }
            ("min" | "max", list) => self.extreme_of(&call.name, list),
            ("date" | "time" | "datetime" | "julianday" | "unixepoch" | "strftime", list) => {
                self.time_function(&call.name, list)
            }
            ("round", [x, digits]) => self.round(x, digits),
            ("typeof", [x]) => self.type_of(x),
            ("substr" | "substring", [x, rest @ ..]) => self.substr(x, rest),
            ("format" | "printf", [format, rest @ ..]) => self.printf(format, rest),
            ("length" | "hex" | "quote" | "char" | "concat" | "concat_ws", list) => {
                self.text_function(&call.name, list)
            }
            (name, list) if name.starts_with("json") => self.json_function(name, list),
            // PostgreSQL folds a comparison of constants before it knows their collation.
            ("replace", [x, from, to]) if constant_text(from).is_some() => {
                let (x, to, empty) =
                    (self.expr(x)?, self.expr(to)?, constant_text(from) == Some(""));
                let from = self.expr(from)?;
                Ok(if empty { x } else { format!("replace({x}, {from}, {to})") })
            }
            ("randomblob", [x]) => match x.kind {
                ExprKind::Const(Cell::Integer(n)) if (1..=64).contains(&n) => Ok(random_bytes(n)),
                _ => {
                    let function = find(SCALAR, "randomblob", 1)
                        .ok_or_else(|| Error::internal("a function that is not listed"))?;
                    self.template(function, args)
                }
            },
            (name, list) => {
                let function = find(SCALAR, name, list.len())
                    .filter(|f| !f.postgres.is_empty())
                    .ok_or_else(|| cannot(format_args!("function {name}")))?;
                self.template(function, list)
            }
        }
    }

    /// A function's PostgreSQL expression with its arguments put in.
    fn template(&mut self, function: &Function, args: &[Expr]) -> Result<String> {
        let mut printed = Vec::with_capacity(args.len());
        for arg in args {
            printed.push(self.expr(arg)?);
        }
        let mut out = String::new();
        let mut rest = function.postgres;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let n = rest.as_bytes().get(at + 1).map_or(0, |b| usize::from(b.wrapping_sub(b'1')));
            let arg = printed.get(n).ok_or_else(|| Error::internal("a template's argument"))?;
            out.push_str(arg);
            rest = rest.get(at + 2..).unwrap_or("");
        }
        out.push_str(rest);
        Ok(out)
    }

    /// A text with small ASCII letters. PostgreSQL folds a call over a constant before it knows its
    /// collation, which is an error where it is stored.
    fn folded(&mut self, expr: &Expr) -> Result<String> {
        Ok(match constant_text(expr) {
            Some(text) => format!("{}::text", quote(&text.to_ascii_lowercase())),
            None => format!("lower(({}) COLLATE \"C\")", self.expr(expr)?),
        })
    }

    fn conversion(&mut self, name: &str, arg: &Expr, ty: Type) -> Result<String> {
        let from = held(arg.ty);
        let x = |p: &mut Self| p.expr(arg);
        Ok(match (name, from) {
            ("plus" | "null", _) if name == "plus" => format!("({})", x(self)?),
            ("null", _) => format!("({})::{}", x(self)?, type_text(plain_type(ty))?),
            ("num" | "real", Held::Bool) => format!("({})::int4::float8", x(self)?),
            ("num" | "real" | "number" | "whole", Held::Int | Held::Real | Held::Num(_)) => {
                format!("({})::float8", x(self)?)
            }
            ("int", Held::Bool) => format!("({})::int4::int8", x(self)?),
            ("int", Held::Int) => format!("({})::int8", x(self)?),
            ("int", Held::Real | Held::Num(_)) => format!("trunc({})::int8", x(self)?),
            ("int", Held::Text | Held::Any) => {
                let value = self.as_plain_text(arg)?;
                over(
                    &value,
                    "CASE WHEN v.x IS NOT NULL THEN \
                     coalesce(substring(v.x from '^\\s*[+-]?\\d+')::int8, 0) END",
                )
            }
            ("real" | "number" | "whole", Held::Text | Held::Any) => {
                let value = self.as_plain_text(arg)?;
                let body = format!(
                    "CASE WHEN v.x IS NOT NULL THEN \
                     coalesce(substring(v.x from {LEADING})::float8, 0) END"
                );
                over(&value, &body)
            }
            ("integral", _) => {
                let value = x(self)?;
                over(
                    &value,
                    "CASE WHEN v.x = trunc(v.x) THEN trunc(v.x)::int8 ELSE (v.x::text)::int8 END",
                )
            }
            ("text", _) => self.as_text(arg)?,
            ("any", Held::Any) => x(self)?,
            ("any", Held::Bool) => format!("to_jsonb(({})::int4)", x(self)?),
            ("any", Held::Int | Held::Real | Held::Num(_) | Held::Text) => {
                format!("to_jsonb({})", x(self)?)
            }
            ("affine", Held::Text) => {
                let value = x(self)?;
                over(
                    &value,
                    &format!(
                        "CASE WHEN v.x ~ {WHOLE} THEN to_jsonb(v.x::float8) ELSE to_jsonb(v.x) END"
                    ),
                )
            }
            ("affine", Held::Any) => {
                let value = x(self)?;
                over(
                    &value,
                    &format!(
                        "CASE WHEN jsonb_typeof(v.x) = 'string' AND (v.x #>> '{{}}') ~ {WHOLE} \
                         THEN to_jsonb((v.x #>> '{{}}')::float8) ELSE v.x END"
                    ),
                )
            }
            ("blob", Held::Text) => format!("convert_to({}, 'UTF8')", x(self)?),
            ("blob", Held::Blob) => x(self)?,
            ("nocase", _) => self.folded(arg)?,
            ("binary", _) => format!("({})", x(self)?),
            ("text_of", _) => self.text_of(arg)?,
            ("uuid_hex", _) => format!("replace(({})::text, '-', '')", x(self)?),
            ("uuid_blob", _) => format!("decode(replace(({})::text, '-', ''), 'hex')", x(self)?),
            ("unix_seconds", _) => format!("floor(extract(epoch from {}))::int8", x(self)?),
            ("unix_millis", _) => format!("floor(extract(epoch from {}) * 1000)::int8", x(self)?),
            ("interval_micros", _) => {
                format!("(extract(epoch from {}) * 1000000)::int8", x(self)?)
            }
            _ => return Err(cannot(format_args!("the conversion {name}"))),
        })
    }

    fn lite_arithmetic(&mut self, op: &str, a: &Expr, b: &Expr, ty: Type) -> Result<String> {
        let (ka, kb) = (held(a.ty), held(b.ty));
        let (x, y) = (self.expr(a)?, self.expr(b)?);
        let real = |sql: &str| format!("({sql})::float8");
        Ok(match (op, ty.oid) {
            ("/" | "%", oid::INT8) => format!("({x} {op} nullif({y}, 0))"),
            ("+" | "-" | "*" | "&" | "|", oid::INT8) => format!("({x} {op} {y})"),
            ("<<" | ">>", _) => match b.kind {
                ExprKind::Const(Cell::Integer(n)) if (0..64).contains(&n) => {
                    format!("({x} {op} {n})")
                }
                _ => return Err(cannot("a shift by a number that is not known")),
            },
            ("%", _) => {
                let whole = |sql: &str| format!("trunc({})::int8", real(sql));
                format!("({} % nullif({}, 0))::float8", whole(&x), whole(&y))
            }
            ("/", oid::FLOAT8) => format!("({} / nullif({}, 0))", real(&x), real(&y)),
            ("/", _) => {
                let known = |k: Held| matches!(k, Held::Int | Held::Num(true));
                if !known(ka) || !known(kb) || has_window(a) || has_window(b) {
                    return Err(cannot("a division whose kind the data decide")
                        .hint("Cast one side to REAL or INTEGER."));
                }
                format!(
                    "(SELECT CASE WHEN v.x = trunc(v.x) AND v.y = trunc(v.y) \
                     THEN trunc(v.x / nullif(v.y, 0)) ELSE v.x / nullif(v.y, 0) END \
                     FROM (SELECT {} AS x, {} AS y) AS v)",
                    real(&x),
                    real(&y)
                )
            }
            (_, oid::FLOAT8 | oid::NUMERIC) => format!("({} {op} {})", real(&x), real(&y)),
            _ => return Err(cannot(format_args!("operator {op}"))),
        })
    }

    fn extreme_of(&mut self, name: &str, list: &[Expr]) -> Result<String> {
        let text = list.first().is_some_and(|e| is_text(e.ty));
        let mut printed = Vec::with_capacity(list.len());
        let mut nulls = Vec::with_capacity(list.len());
        for arg in list {
            let sql = self.expr(arg)?;
            nulls.push(format!("{sql} IS NULL"));
            printed.push(if text { format!("({sql}) COLLATE \"C\"") } else { sql });
        }
        let function = if name == "max" { "greatest" } else { "least" };
        Ok(format!(
            "(CASE WHEN {} THEN NULL ELSE {function}({}) END)",
            nulls.join(" OR "),
            printed.join(", ")
        ))
    }

    fn type_of(&mut self, x: &Expr) -> Result<String> {
        match held(x.ty) {
            Held::Num(true) => self.once(
                x,
                "CASE WHEN v.x IS NULL THEN 'null' WHEN v.x = trunc(v.x) THEN 'integer' \
                 ELSE 'real' END",
            ),
            Held::Any => self.once(
                x,
                "CASE jsonb_typeof(v.x) WHEN 'string' THEN 'text' WHEN 'number' THEN \
                 (CASE WHEN v.x::text ~ '^-?\\d+$' THEN 'integer' ELSE 'real' END) ELSE 'null' END",
            ),
            _ => Err(cannot("typeof() of a number that arithmetic made")),
        }
    }

    /// Aggregates and window functions.
    fn lite_aggregate(&mut self, call: &Call, ty: Type) -> Result<String> {
        let name = call.name.as_str();
        if name == "bare" {
            let Some(column) = call.args.first() else {
                return Err(Error::internal("a bare column without its column"));
            };
            let column = self.expr(column)?;
            let order = self.aggregate_order(&call.order_by)?;
            return Ok(format!("(array_agg({column}{order}))[1]"));
        }
        let mut tail = String::new();
        if let Some(filter) = &call.filter {
            tail.push_str(&format!(" FILTER (WHERE {})", self.expr(filter)?));
        }
        if let Some(over) = &call.over {
            tail.push_str(&self.over(over)?);
        }
        if call.star {
            return Ok(format!("count(*){tail}"));
        }
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        let order = self.aggregate_order(&call.order_by)?;
        let arg = match call.args.first() {
            Some(first) => self.expr(first)?,
            None => String::new(),
        };
        let first = call.args.first().map(|a| held(a.ty));
        Ok(match (name, first) {
            ("sum", Some(Held::Int)) => format!("(sum({distinct}({arg})::int8){tail})::int8"),
            ("sum", _) => format!("sum({distinct}{arg}){tail}"),
            ("total", _) => format!("coalesce(sum({distinct}{arg}){tail}, 0::float8)"),
            ("min" | "max", Some(Held::Any | Held::Blob)) => {
                return Err(cannot(format_args!("{name}() of this kind")));
            }
            ("min" | "max", Some(Held::Text)) => {
                format!("{name}({distinct}({arg}) COLLATE \"C\"){tail}")
            }
            ("min" | "max", _) => format!("{name}({distinct}{arg}){tail}"),
            ("json_group_array" | "json_group_object", _) => {
                self.json_aggregate(call, &order, &tail)?
            }
            _ => {
                let list = if call.kind == CallKind::Window
                    && find(AGGREGATE, name, call.args.len()).is_none()
                {
                    WINDOW
                } else {
                    AGGREGATE
                };
                let function = find(list, name, call.args.len())
                    .filter(|f| !f.postgres.is_empty())
                    .ok_or_else(|| cannot(format_args!("function {name}")))?;
                let mut sql = self.template(function, &call.args)?;
                if !distinct.is_empty() {
                    sql = sql.replacen('(', "(DISTINCT ", 1);
                }
                if let Some(end) = sql.rfind(')') {
                    sql.insert_str(end, &order);
                }
                let sql = format!("{sql}{tail}");
                if ty.oid == oid::INT8 { format!("({sql})::int8") } else { sql }
            }
        })
    }

    fn aggregate_order(&mut self, sorts: &[Sort]) -> Result<String> {
        Ok(if sorts.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", self.sorts(sorts)?)
        })
    }

    /// The expression of a value frozen for the whole statement, where PostgreSQL alone
    /// answers and nobody binds it.
    pub(super) fn live(&self, index: u32) -> Result<String> {
        use crate::sql::plan::FrozenSource as S;
        let frozen = self
            .frozen
            .get(index as usize)
            .ok_or_else(|| Error::internal("a frozen value that is not listed"))?;
        let ty = type_text(frozen.ty)?;
        Ok(match &frozen.source {
            S::TransactionTime => format!("now()::{ty}"),
            S::StatementTime => format!("statement_timestamp()::{ty}"),
            S::ClockTime => format!("clock_timestamp()::{ty}"),
            S::Random => "random()".to_owned(),
            S::Uuid => "gen_random_uuid()".to_owned(),
            S::NextValue(name) => format!("nextval({})", quote(&crate::name::quoted(name))),
            S::CurrentValue(name) => {
                format!("currval({})", quote(&crate::name::quoted(name)))
            }
            S::LastValue => "lastval()".to_owned(),
            S::Session(name, arguments) if arguments.is_empty() => match name.as_str() {
                // The last number a sequence gave in this session; 55000 when none did.
                "last_insert_rowid" => "lastval()".to_owned(),
                _ => return Err(cannot(format_args!("{name}()"))),
            },
            S::Session(name, _) => return Err(cannot(format_args!("{name}()"))),
            S::Function(..) | S::Field { .. } => return Err(cannot("a function of a client")),
            S::SetConfig(_) => return Err(cannot("set_config()")),
        })
    }
}

/// So many bytes, as random as those of a uuid.
fn random_bytes(count: i64) -> String {
    let parts =
        vec!["md5(gen_random_uuid()::text)"; usize::try_from((count + 15) / 16).unwrap_or(1)];
    format!("substring(decode({}, 'hex') from 1 for {count})", parts.join(" || "))
}

/// `body` over `v.x`.
fn over(value: &str, body: &str) -> String {
    format!("(SELECT {body} FROM (SELECT {value} AS x) AS v)")
}
