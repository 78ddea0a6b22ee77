//! JSON functions of SQLite's over PostgreSQL's json.
//!
//! SQLite writes documents without spaces and in their own order; what would have to be
//! written anew differs on PostgreSQL, so functions that change documents are not printed.

use super::{Held, Printer, cannot, constant_text, held, over, quote};
use crate::error::Result;
use crate::sql::ir::{Call, Expr, ExprKind};
use crate::value::Cell;

/// The value at a json node over `v.x`, as SQLite's json_extract gives it: jsonb.
const EXTRACTED: &str = "CASE json_typeof(v.x) WHEN 'null' THEN NULL \
    WHEN 'boolean' THEN (CASE v.x::text WHEN 'true' THEN '1' ELSE '0' END)::jsonb \
    WHEN 'object' THEN to_jsonb(v.x::text) WHEN 'array' THEN to_jsonb(v.x::text) \
    WHEN 'number' THEN (CASE WHEN v.x::text ~ '^-?\\d+$' THEN v.x::jsonb \
    ELSE to_jsonb(v.x::text::float8) END) ELSE v.x::jsonb END";

/// `$.a.b[2]` as PostgreSQL's path `{a,b,2}`.
fn path_steps(path: &str) -> Option<Vec<String>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            if let Some(quoted) = after.strip_prefix('"') {
                let end = quoted.find('"')?;
                steps.push(quoted[..end].to_owned());
                rest = &quoted[end + 1..];
            } else {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                if end == 0 {
                    return None;
                }
                steps.push(after[..end].to_owned());
                rest = &after[end..];
            }
        } else {
            let inner = rest.strip_prefix('[')?;
            let end = inner.find(']')?;
            let index = &inner[..end];
            let step = match index.strip_prefix("#-") {
                Some(back) => format!("-{}", back.parse::<u32>().ok().filter(|n| *n > 0)?),
                None => index.parse::<u32>().ok()?.to_string(),
            };
            steps.push(step);
            rest = &inner[end + 1..];
        }
    }
    Some(steps)
}

/// Steps as an array of text.
fn array(steps: &[String]) -> String {
    let items: Vec<String> = steps.iter().map(|s| quote(s)).collect();
    format!("ARRAY[{}]::text[]", items.join(", "))
}

impl Printer<'_> {
    /// A constant path; `bare` lets a word or number stand for one step.
    fn steps(&self, path: &Expr, bare: bool) -> Result<Vec<String>> {
        let refuse = || cannot("a JSON path that is no constant");
        match &path.kind {
            ExprKind::Const(Cell::Integer(n)) if bare => Ok(vec![n.to_string()]),
            _ => {
                let text = constant_text(path).ok_or_else(refuse)?;
                if text.starts_with('$') {
                    path_steps(text).ok_or_else(|| cannot(format_args!("the JSON path {text}")))
                } else if bare {
                    Ok(vec![text.to_owned()])
                } else {
                    Err(cannot(format_args!("the JSON path {text}")))
                }
            }
        }
    }

    /// The json node at a path.
    fn node(&mut self, document: &Expr, steps: &[String]) -> Result<String> {
        let document = self.expr(document)?;
        Ok(format!("(({document})::json #> {})", array(steps)))
    }

    pub(super) fn arrow(&mut self, op: &str, document: &Expr, path: &Expr) -> Result<String> {
        let steps = self.steps(path, true)?;
        let node = self.node(document, &steps)?;
        if op == "->" {
            return Ok(format!("({node})::text"));
        }
        Ok(over(&node, EXTRACTED))
    }

    pub(super) fn json_function(&mut self, name: &str, args: &[Expr]) -> Result<String> {
        let whole: Vec<String> = Vec::new();
        Ok(match (name, args) {
            ("json_extract", [document, path]) => {
                let steps = self.steps(path, false)?;
                let node = self.node(document, &steps)?;
                over(&node, EXTRACTED)
            }
            ("json_type", [document, path @ ..]) => {
                let steps = match path.first() {
                    Some(path) => self.steps(path, false)?,
                    None => whole,
                };
                let node = self.node(document, &steps)?;
                over(
                    &node,
                    "CASE json_typeof(v.x) WHEN 'number' THEN (CASE WHEN v.x::text ~ '^-?\\d+$' \
                     THEN 'integer' ELSE 'real' END) WHEN 'string' THEN 'text' \
                     WHEN 'boolean' THEN v.x::text ELSE json_typeof(v.x) END",
                )
            }
            ("json_array_length", [document, path @ ..]) => {
                let steps = match path.first() {
                    Some(path) => self.steps(path, false)?,
                    None => whole,
                };
                let node = self.node(document, &steps)?;
                over(
                    &node,
                    "CASE json_typeof(v.x) WHEN 'array' THEN json_array_length(v.x)::int8 \
                     ELSE (CASE WHEN v.x IS NOT NULL THEN 0::int8 END) END",
                )
            }
            ("json_quote", [x]) => self.element(x)?,
            ("json_array", list) => {
                let items = list.iter().map(|e| self.element(e)).collect::<Result<Vec<_>>>()?;
                joined("[", &items, "]")
            }
            ("json_object", list) if list.len().is_multiple_of(2) => {
                let mut items = Vec::new();
                for pair in list.chunks(2) {
                    let [key, value] = pair else { continue };
                    if held(key.ty) != Held::Text {
                        return Err(cannot("json_object() with a key that is no text"));
                    }
                    items.push(format!(
                        "{} || ':' || {}",
                        self.element(key)?,
                        self.element(value)?
                    ));
                }
                joined("{", &items, "}")
            }
            _ => return Err(cannot(format_args!("function {name}"))),
        })
    }

    /// A value as an element of a document.
    fn element(&mut self, x: &Expr) -> Result<String> {
        let document = matches!(&x.kind, ExprKind::Call(c) if c.lite && c.name.starts_with("json"));
        let text = match held(x.ty) {
            Held::Text if document => self.expr(x)?,
            Held::Text => format!("to_json({})::text", self.expr(x)?),
            Held::Any => format!("({})::text", self.expr(x)?),
            Held::Blob | Held::Num(false) => return Err(cannot("this value in a document")),
            _ => self.as_text(x)?,
        };
        Ok(format!("coalesce({text}, 'null')"))
    }

    pub(super) fn json_aggregate(
        &mut self,
        call: &Call,
        order: &str,
        tail: &str,
    ) -> Result<String> {
        if call.distinct {
            return Err(cannot("DISTINCT in a JSON aggregate"));
        }
        let (open, close, item) = match call.args.as_slice() {
            [x] => ("[", "]", self.element(x)?),
            [key, value] => {
                ("{", "}", format!("{} || ':' || {}", self.element(key)?, self.element(value)?))
            }
            _ => return Err(cannot("this JSON aggregate")),
        };
        Ok(format!("('{open}' || coalesce(string_agg({item}, ','{order}){tail}, '') || '{close}')"))
    }

    /// `json_each(document [, path])` as a query of four columns.
    pub(crate) fn json_each(&mut self, call: &Call) -> Result<String> {
        let [document, path @ ..] = call.args.as_slice() else {
            return Err(cannot("json_each()"));
        };
        let steps = match path.first() {
            Some(path) => self.steps(path, false)?,
            None => Vec::new(),
        };
        let node = self.node(document, &steps)?;
        let value = EXTRACTED.replace("v.x", "e.value");
        let kind = "CASE json_typeof(e.value) WHEN 'number' THEN (CASE WHEN e.value::text ~ \
                    '^-?\\d+$' THEN 'integer' ELSE 'real' END) WHEN 'string' THEN 'text' \
                    WHEN 'boolean' THEN e.value::text ELSE json_typeof(e.value) END";
        let atom = format!(
            "CASE WHEN json_typeof(e.value) IN ('object', 'array') THEN NULL ELSE {value} END"
        );
        Ok(format!(
            "(SELECT e.key, {value}, {kind}, {atom} FROM (SELECT {node} AS x) AS v, \
             LATERAL (SELECT to_jsonb(a.n - 1) AS key, a.value, a.n \
             FROM json_array_elements(CASE WHEN json_typeof(v.x) = 'array' THEN v.x ELSE '[]'::json END) \
             WITH ORDINALITY AS a(value, n) UNION ALL \
             SELECT to_jsonb(o.key), o.value, o.n \
             FROM ROWS FROM (json_each(CASE WHEN json_typeof(v.x) = 'object' THEN v.x ELSE '{{}}'::json END)) \
             WITH ORDINALITY AS o(key, value, n)) AS e ORDER BY e.n)"
        ))
    }
}

fn joined(open: &str, items: &[String], close: &str) -> String {
    if items.is_empty() {
        return format!("'{open}{close}'");
    }
    format!("('{open}' || {} || '{close}')", items.join(" || ',' || "))
}
