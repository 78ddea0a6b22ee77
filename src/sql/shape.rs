//! A query text without its literals: what texts that differ only in them have in common.
//!
//! Owns cutting a text into its skeleton and its literals, and reading one literal as the
//! constant analysis would make of it. It must never guess: a literal whose meaning depends
//! on more than itself (the session's settings, the catalog) has no constant here. Start at
//! [`Skeleton::of`].

use super::analyze::literal::{fold, plain_literal, with_length};
use super::lexer::{self, Kind};
use crate::schema::Codec;
use crate::value::{Cell, Style, Type, oid, storage, text};

/// Longer texts are not worth it: they are bulk loads.
const TEXT_BYTES_MAX: usize = 8 << 10;
/// More literals than this are a bulk load too.
const LITERALS_MAX: usize = 100;

/// A text with its literals cut out.
#[derive(Debug)]
pub struct Skeleton<'a> {
    /// The text.
    pub text: &'a str,
    /// The text, each literal replaced by one control character for its kind.
    pub key: String,
    /// The literals in order, as written.
    pub literals: Vec<Literal<'a>>,
}

/// A literal as written.
#[derive(Clone, Copy, Debug)]
pub struct Literal<'a> {
    /// Its text, quotes included.
    pub text: &'a str,
    /// First byte in the text.
    pub start: usize,
    /// A minus sign that belongs to it by PostgreSQL's grammar may stand here.
    sign: Option<usize>,
    kind: Kind,
}

/// One value of a plan that comes from a literal.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Which literal.
    pub literal: usize,
    /// The minus sign before it belongs to it.
    negated: bool,
    /// Type of the literal by itself: int4, int8, numeric or unknown.
    base: u32,
    /// Type of the constant made of it.
    pub ty: Type,
}

impl<'a> Skeleton<'a> {
    /// None when the text has no literals, or is not the kind that comes again and again.
    pub fn of(text: &'a str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX || text.bytes().any(|b| b < b'\t') {
            return None;
        }
        let key = String::with_capacity(text.len());
        let mut skeleton = Self { text, key, literals: Vec::new() };
        let (mut copied, mut sign) = (0, None);
        for token in lexer::tokens(text) {
            let mark = match token.kind {
                Kind::Number => '\u{1}',
                Kind::Text => '\u{2}',
                Kind::Operator if &text[token.start..token.end] == "-" => {
                    sign = Some(token.start);
                    continue;
                }
                Kind::Param => return None,
                _ => {
                    sign = None;
                    continue;
                }
            };
            if skeleton.literals.len() >= LITERALS_MAX {
                return None;
            }
            skeleton.key.push_str(&text[copied..token.start]);
            skeleton.key.push(mark);
            copied = token.end;
            let own = &text[token.start..token.end];
            let literal = Literal { text: own, start: token.start, sign, kind: token.kind };
            skeleton.literals.push(literal);
            sign = None;
        }
        skeleton.key.push_str(&text[copied..]);
        (!skeleton.literals.is_empty()).then_some(skeleton)
    }

    /// First byte of the text's character of this number, counted from 0.
    pub fn byte(&self, character: usize) -> usize {
        if self.text.is_ascii() {
            return character;
        }
        self.text.char_indices().nth(character).map_or(self.text.len(), |(at, _)| at)
    }

    /// The slot for a constant of this type that stands at a byte of the text, if the literal
    /// there makes just this constant.
    pub fn slot(&self, at: usize, ty: Type, cell: &Cell) -> Option<Slot> {
        let (literal, found) =
            self.literals.iter().enumerate().find(|(_, l)| l.start == at || l.sign == Some(at))?;
        let negated = found.start != at;
        let (_, base) = found.base(negated)?;
        let slot = Slot { literal, negated, base, ty };
        (self.value(&slot)? == *cell).then_some(slot)
    }

    /// The constant that this text's literal makes in a slot; None when analysis has to say.
    pub fn value(&self, slot: &Slot) -> Option<Cell> {
        let (cell, base) = self.literals.get(slot.literal)?.base(slot.negated)?;
        if base != slot.base {
            return None;
        }
        let plain = Type::new(slot.ty.oid);
        let cell = match (&cell, base) {
            (Cell::Text(s), oid::UNKNOWN) => plain_literal(s, plain)?,
            _ if base == slot.ty.oid => cell,
            _ => fold(&cell, base, slot.ty.oid)?,
        };
        with_length(cell, slot.ty)
    }
}

impl Slot {
    /// First byte of what the literal takes up in the text, its sign included.
    pub fn start(&self, literal: &Literal<'_>) -> usize {
        literal.sign.filter(|_| self.negated).unwrap_or(literal.start)
    }
}

impl Literal<'_> {
    /// The constant it is by itself, with its type.
    fn base(&self, negated: bool) -> Option<(Cell, u32)> {
        match self.kind {
            Kind::Text if !negated => Some((Cell::Text(unquoted(self.text)?), oid::UNKNOWN)),
            Kind::Number => number(self.text, negated),
            _ => None,
        }
    }
}

/// `'it''s'`; None for every other way to write a string.
fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let whole = inner.replace("''", "");
    (!whole.contains('\'')).then(|| inner.replace("''", "'"))
}

/// A decimal number, typed as PostgreSQL's grammar types it.
fn number(text: &str, negated: bool) -> Option<(Cell, u32)> {
    let sign = if negated { "-" } else { "" };
    if text.bytes().all(|b| b.is_ascii_digit())
        && let Ok(value) = format!("{sign}{text}").parse::<i64>()
    {
        let ty = if i32::try_from(value).is_ok() { oid::INT4 } else { oid::INT8 };
        return Some((Cell::Integer(value), ty));
    }
    if !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let ty = Type::new(oid::NUMERIC);
    let datum = text::parse(ty, &format!("{sign}{text}"), &Style::default()).ok()?;
    Some((storage::encode(Codec::Identity, ty, &datum).ok()?, oid::NUMERIC))
}

#[cfg(test)]
mod tests {
    use super::{Skeleton, Slot};
    use crate::value::{Cell, Type, oid};

    fn value(text: &str, literal: usize, ty: u32) -> Option<Cell> {
        let skeleton = Skeleton::of(text)?;
        let (_, base) = skeleton.literals.get(literal)?.base(false)?;
        skeleton.value(&Slot { literal, negated: false, base, ty: Type::new(ty) })
    }

    #[test]
    fn texts_that_differ_in_literals_share_a_skeleton() {
        let a = Skeleton::of("update t set a = a + 5 where b = 'x'").unwrap();
        let b = Skeleton::of("update t set a = a + 77 where b = 'it''s'").unwrap();
        let c = Skeleton::of("update t set a = a + 77 where b = 8").unwrap();
        assert_eq!(a.key, b.key);
        assert_ne!(a.key, c.key);
        assert!(Skeleton::of("select a from t").is_none());
        assert!(Skeleton::of("select $1 + 5").is_none());
    }

    #[test]
    fn literals_are_read_as_their_place_asks() {
        assert_eq!(value("select 5", 0, oid::INT4), Some(Cell::Integer(5)));
        assert_eq!(value("select 5", 0, oid::NUMERIC), Some(Cell::Text("5".into())));
        assert_eq!(value("select 'it''s'", 0, oid::TEXT), Some(Cell::Text("it's".into())));
        assert_eq!(value("select '7'", 0, oid::INT4), Some(Cell::Integer(7)));
    }

    #[test]
    fn what_depends_on_more_than_the_literal_is_not_read() {
        assert_eq!(value("select 'now'", 0, oid::TIMESTAMPTZ), None);
        assert_eq!(value("select '1/2/2024'", 0, oid::DATE), None);
        assert_eq!(value("select 'x'", 0, oid::INT4), None);
        assert_eq!(value("select E'a'", 0, oid::TEXT), None);
        assert_eq!(value("select 'pg_class'", 0, oid::REGCLASS), None);
        assert_eq!(value("select 0x1F", 0, oid::INT4), None);
    }
}
