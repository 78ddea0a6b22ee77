//! Names of the schema `public` as a session shows them: bare while its search path finds them,
//! else with the schema (`pg_dump` empties the path and restores by what it is shown).
//!
//! It must never change what is stored: the catalog keeps bare names. Start at [`name`].

use super::{Core, quote_ident};
use crate::backend::sqlite::functions::session;
use crate::sql::lexer::{Kind, tokens};
use crate::value::enums;

/// Whether the running session's search path lacks `public`.
pub(super) fn hidden() -> bool {
    session::current().hidden
}

/// A quoted name of `public`.
pub(super) fn name(bare: &str) -> String {
    qualified(quote_ident(bare))
}

/// A name that is quoted already.
pub(super) fn qualified(quoted: String) -> String {
    if hidden() { format!("public.{quoted}") } else { quoted }
}

/// A type's name as `format_type` prints it.
pub(super) fn type_name(type_oid: u32, printed: String) -> String {
    if is_own(type_oid) { qualified(printed) } else { printed }
}

/// An expression's text: types behind `::`, and what `::regclass` names.
pub(super) fn expression(core: &Core, text: &str) -> String {
    if !hidden() {
        return text.to_owned();
    }
    let all: Vec<_> = tokens(text).collect();
    let mut out = text.to_owned();
    for (i, token) in all.iter().enumerate().rev() {
        let word = &text[token.start..token.end];
        let follows = |n: usize| i.checked_sub(n).and_then(|at| all.get(at));
        let cast = follows(1).is_some_and(|t| &text[t.start..t.end] == "::");
        if !cast || !matches!(token.kind, Kind::Word | Kind::Quoted) {
            continue;
        }
        if word == "regclass" {
            let Some(literal) = follows(2).filter(|t| t.kind == Kind::Text) else { continue };
            let inner = text[literal.start..literal.end].trim_matches('\'');
            if !inner.contains('.') && super::named::class_oid(core, inner).is_some() {
                out.insert_str(literal.start + 1, "public.");
            }
            continue;
        }
        if super::types::type_in(core, word).is_some_and(is_own) {
            out.insert_str(token.start, "public.");
        }
    }
    out
}

fn is_own(type_oid: u32) -> bool {
    enums::printed_name(type_oid).is_some()
}
