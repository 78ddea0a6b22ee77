//! Values as text, and text functions that are more than a template.

use super::{Held, Printer, cannot, held, over};
use crate::error::{Error, Result};
use crate::sql::ir::{Expr, ExprKind};
use crate::value::{Cell, oid};

/// A real as SQLite writes it, over `v.x`: always with a point.
const REAL_TEXT: &str = "CASE WHEN v.x = trunc(v.x) AND abs(v.x) < 1e17 \
    THEN (v.x)::int8::text || '.0' ELSE regexp_replace((v.x)::text, '^(-?\\d+)e', '\\1.0e') END";

impl Printer<'_> {
    /// A value as SQLite's CAST AS TEXT gives it.
    pub(super) fn as_text(&mut self, arg: &Expr) -> Result<String> {
        Ok(match held(arg.ty) {
            Held::Text => self.expr(arg)?,
            Held::Int => format!("({})::text", self.expr(arg)?),
            Held::Bool => format!("({})::int4::text", self.expr(arg)?),
            Held::Real => self.once(arg, REAL_TEXT)?,
            Held::Num(true) => {
                let body = format!(
                    "CASE WHEN v.x = trunc(v.x) AND abs(v.x) < 1e15 THEN (v.x)::numeric::text \
                     ELSE ({REAL_TEXT}) END"
                );
                self.once(arg, &body)?
            }
            Held::Num(false) => {
                return Err(cannot("the text of a number that arithmetic made")
                    .hint("Cast it to REAL or INTEGER first."));
            }
            Held::Blob => format!("convert_from({}, 'UTF8')", self.expr(arg)?),
            Held::Any => format!("({} #>> '{{}}')", self.expr(arg)?),
        })
    }

    /// The text of a text or of a value whose kind the data decide.
    pub(super) fn as_plain_text(&mut self, arg: &Expr) -> Result<String> {
        match held(arg.ty) {
            Held::Any => Ok(format!("({} #>> '{{}}')", self.expr(arg)?)),
            _ => self.expr(arg),
        }
    }

    /// A date, uuid or document as the text that SQLite keeps.
    pub(super) fn text_of(&mut self, arg: &Expr) -> Result<String> {
        let x = self.expr(arg)?;
        let moment = |x: &str| {
            format!("regexp_replace(to_char({x}, 'YYYY-MM-DD HH24:MI:SS.US'), '\\.?0+$', '')")
        };
        Ok(match arg.ty.oid {
            oid::DATE => format!("to_char({x}, 'YYYY-MM-DD')"),
            // A fraction of a second ends in no zero; a whole one has no point.
            oid::TIMESTAMP => fractions(&moment(&x), &x),
            oid::TIMESTAMPTZ => {
                let utc = format!("({x} AT TIME ZONE 'UTC')");
                fractions(&moment(&utc), &utc)
            }
            oid::TIME | oid::UUID | oid::JSON | oid::JSONB | oid::INET => format!("({x})::text"),
            _ => return Err(cannot("a value of this type")),
        })
    }

    pub(super) fn text_function(&mut self, name: &str, args: &[Expr]) -> Result<String> {
        match (name, args) {
            ("length", [x]) if held(x.ty) == Held::Blob => {
                Ok(format!("octet_length({})::int8", self.expr(x)?))
            }
            ("length", [x]) => Ok(format!("length({})::int8", self.as_text(x)?)),
            ("hex", [x]) => {
                let bytes = match held(x.ty) {
                    Held::Blob => self.expr(x)?,
                    _ => format!("convert_to({}, 'UTF8')", self.as_text(x)?),
                };
                Ok(format!("coalesce(upper(encode({bytes}, 'hex')), '')"))
            }
            ("quote", [x]) => self.quote_of(x),
            ("char", list) => {
                let parts = list
                    .iter()
                    .map(|e| Ok(format!("chr(({})::int4)", self.expr(e)?)))
                    .collect::<Result<Vec<_>>>()?;
                Ok(format!("({})", parts.join(" || ")))
            }
            ("concat" | "concat_ws", list) => {
                let parts = list.iter().map(|e| self.expr(e)).collect::<Result<Vec<_>>>()?;
                Ok(format!("{name}({})", parts.join(", ")))
            }
            _ => Err(cannot(format_args!("function {name}"))),
        }
    }

    fn quote_of(&mut self, x: &Expr) -> Result<String> {
        let text = match held(x.ty) {
            Held::Text => {
                let value = self.expr(x)?;
                over(&value, "'''' || replace(v.x, '''', '''''') || ''''")
            }
            Held::Blob => {
                let value = self.expr(x)?;
                over(&value, "'X''' || upper(encode(v.x, 'hex')) || ''''")
            }
            Held::Any | Held::Num(false) => return Err(cannot("quote() of this value")),
            _ => self.as_text(x)?,
        };
        Ok(format!("coalesce({text}, 'NULL')"))
    }

    /// substr() with SQLite's places from the end and lengths to the left.
    pub(super) fn substr(&mut self, x: &Expr, rest: &[Expr]) -> Result<String> {
        let text = self.expr(x)?;
        let known = |e: &Expr| match e.kind {
            ExprKind::Const(Cell::Integer(n)) => Some(n),
            _ => None,
        };
        match rest {
            [start] => match known(start) {
                Some(n) if n >= 0 => Ok(format!("substr({text}, {n})")),
                _ => {
                    let start = self.expr(start)?;
                    Ok(format!(
                        "(SELECT substr(v.x, (CASE WHEN v.s < 0 \
                         THEN greatest(length(v.x) + v.s + 1, 1) ELSE v.s END)::int4) \
                         FROM (SELECT {text} AS x, {start} AS s) AS v)"
                    ))
                }
            },
            [start, length] => match (known(start), known(length)) {
                (Some(s), Some(n)) if s >= 0 && n >= 0 => Ok(format!("substr({text}, {s}, {n})")),
                _ => {
                    let (start, length) = (self.expr(start)?, self.expr(length)?);
                    Ok(format!(
                        "(SELECT substr(v.x, ((CASE WHEN v.s < 0 THEN length(v.x) + v.s + 1 \
                         ELSE v.s END) + least(v.n, 0))::int4, abs(v.n)::int4) \
                         FROM (SELECT {text} AS x, {start} AS s, {length} AS n) AS v)"
                    ))
                }
            },
            _ => Err(Error::internal("substr without a place")),
        }
    }
}

/// The formatted moment with its fraction only when it has one.
fn fractions(with: &str, moment: &str) -> String {
    format!(
        "(CASE WHEN date_trunc('second', {moment}) = {moment} \
         THEN to_char({moment}, 'YYYY-MM-DD HH24:MI:SS') ELSE {with} END)"
    )
}
