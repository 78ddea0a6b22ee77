//! Which type can become which: PostgreSQL's coercion rules over pg_cast.
//!
//! Owns the decision whether a cast exists and how it is done, and the rules for polymorphic
//! signatures. It must never build an expression. Start at [`pathway`].

use super::{array_of, base, category, element, kind, preferred, pseudo, tables};
use crate::error::{Error, Result, state};
use crate::value::{is_composite, oid};

/// How much the text asks for a cast; later ones allow more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// Operands, arguments, common types.
    Implicit,
    /// Into a column.
    Assignment,
    /// CAST(x AS t)
    Explicit,
}

/// How a cast is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Same representation.
    Relabel,
    /// A function of pg_cast.
    Function,
    /// Element by element.
    Array,
    /// Through the text form.
    Text,
}

/// How values of `source` become `target`, if `context` allows it.
pub fn pathway(source: u32, target: u32, context: Context) -> Option<Path> {
    let (source, target) = (base(source), base(target));
    if source == target || (target == oid::RECORD && is_composite(source)) {
        return Some(Path::Relabel);
    }
    if let Some(cast) = tables().cast(source, target) {
        let needed = match cast.context {
            b'i' => Context::Implicit,
            b'a' => Context::Assignment,
            _ => Context::Explicit,
        };
        return (context >= needed).then_some(match cast.method {
            b'f' => Path::Function,
            b'i' => Path::Text,
            _ => Path::Relabel,
        });
    }
    if !matches!(target, oid::OIDVECTOR | oid::INT2VECTOR)
        && let (Some(from), Some(to)) = (element(source), element(target))
    {
        return pathway(from, to, context).map(|path| match path {
            Path::Text => Path::Text,
            _ => Path::Array,
        });
    }
    let through_text = (context >= Context::Assignment && category(target) == b'S')
        || (context >= Context::Explicit && category(source) == b'S');
    through_text.then_some(Path::Text)
}

/// Whether values of `source` are values of `target` as they stand.
pub fn binary_coercible(source: u32, target: u32) -> bool {
    if source == target {
        return true;
    }
    if matches!(target, oid::ANY | oid::ANYELEMENT | oid::ANYCOMPATIBLE) {
        return true;
    }
    let source = base(source);
    if source == target {
        return true;
    }
    match target {
        oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY if element(source).is_some() => return true,
        oid::ANYNONARRAY | oid::ANYCOMPATIBLENONARRAY if element(source).is_none() => return true,
        pseudo::ANYRANGE | pseudo::ANYCOMPATIBLERANGE if kind(source) == b'r' => return true,
        oid::ANYENUM if kind(source) == b'e' => return true,
        _ => {}
    }
    tables().cast(source, target).is_some_and(|c| c.method == b'b' && c.context == b'i')
}

/// Whether a signature's type is polymorphic.
pub fn polymorphic(type_oid: u32) -> bool {
    family_one(type_oid) || family_two(type_oid)
}

fn family_one(type_oid: u32) -> bool {
    matches!(
        type_oid,
        oid::ANYELEMENT
            | oid::ANYARRAY
            | oid::ANYNONARRAY
            | oid::ANYENUM
            | pseudo::ANYRANGE
            | pseudo::ANYMULTIRANGE
    )
}

fn family_two(type_oid: u32) -> bool {
    matches!(
        type_oid,
        oid::ANYCOMPATIBLE
            | oid::ANYCOMPATIBLEARRAY
            | oid::ANYCOMPATIBLENONARRAY
            | pseudo::ANYCOMPATIBLERANGE
            | pseudo::ANYCOMPATIBLEMULTIRANGE
    )
}

/// Whether arguments of the given types can be passed where the targets are declared.
pub fn can_coerce(inputs: &[u32], targets: &[u32], context: Context) -> bool {
    let mut generics = false;
    for (input, target) in inputs.iter().copied().zip(targets.iter().copied()) {
        if input == target || target == oid::ANY {
            continue;
        }
        if polymorphic(target) {
            generics = true;
            continue;
        }
        if input == oid::UNKNOWN || pathway(input, target, context).is_some() {
            continue;
        }
        return false;
    }
    !generics || generics_agree(inputs, targets)
}

/// What the polymorphic arguments of one call stand for.
#[derive(Default)]
struct Generics {
    element: Option<u32>,
    array: Option<u32>,
    range: Option<u32>,
    multirange: Option<u32>,
    common: Vec<u32>,
    common_range: Option<u32>,
}

/// Sets `slot`, or says whether it has that value already.
fn unify(slot: &mut Option<u32>, value: u32) -> bool {
    *slot.get_or_insert(value) == value
}

fn collect(inputs: &[u32], targets: &[u32]) -> Option<Generics> {
    let mut found = Generics::default();
    for (input, target) in inputs.iter().copied().zip(targets.iter().copied()) {
        if input == oid::UNKNOWN {
            continue;
        }
        let agrees = match target {
            oid::ANYELEMENT | oid::ANYNONARRAY | oid::ANYENUM => unify(&mut found.element, input),
            oid::ANYARRAY => unify(&mut found.array, base(input)),
            pseudo::ANYRANGE => unify(&mut found.range, base(input)),
            pseudo::ANYMULTIRANGE => unify(&mut found.multirange, base(input)),
            oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLENONARRAY => {
                found.common.push(input);
                true
            }
            oid::ANYCOMPATIBLEARRAY => match element(input) {
                Some(item) => {
                    found.common.push(item);
                    true
                }
                None => false,
            },
            pseudo::ANYCOMPATIBLERANGE => {
                kind(base(input)) == b'r' && unify(&mut found.common_range, base(input))
            }
            _ => true,
        };
        if !agrees {
            return None;
        }
    }
    Some(found)
}

fn generics_agree(inputs: &[u32], targets: &[u32]) -> bool {
    let Some(mut found) = collect(inputs, targets) else { return false };
    if let Some(array) = found.array {
        if array == oid::ANYARRAY {
            return found.element.is_none();
        }
        match element(array) {
            Some(item) if unify(&mut found.element, item) => {}
            _ => return false,
        }
    }
    if let Some(multirange) = found.multirange {
        let range = tables().ty(multirange).map_or(0, |t| t.subtype);
        if kind(multirange) != b'm' || !unify(&mut found.range, range) {
            return false;
        }
    }
    if let Some(range) = found.range {
        let subtype = tables().ty(range).map_or(0, |t| t.subtype);
        if kind(range) != b'r' || !unify(&mut found.element, subtype) {
            return false;
        }
    }
    if targets.contains(&oid::ANYNONARRAY) && found.element.is_some_and(|e| element(e).is_some()) {
        return false;
    }
    if targets.contains(&oid::ANYENUM) && found.element.is_some_and(|e| kind(e) != b'e') {
        return false;
    }
    if found.common.is_empty() {
        return true;
    }
    let Some(common) = common_of(&found.common) else { return false };
    if targets.contains(&oid::ANYCOMPATIBLENONARRAY) && element(common).is_some() {
        return false;
    }
    found.common.iter().all(|t| can_coerce(&[*t], &[common], Context::Implicit))
}

/// The common type of several, by PostgreSQL's rule for UNION and CASE; None when their
/// categories differ. All unknown gives text.
pub fn common_of(types: &[u32]) -> Option<u32> {
    let first = *types.first()?;
    if first != oid::UNKNOWN && types.iter().all(|t| *t == first) {
        return Some(first);
    }
    let mut chosen = base(first);
    for ty in types.iter().copied().skip(1).map(base) {
        if ty == oid::UNKNOWN || ty == chosen {
            continue;
        }
        if chosen == oid::UNKNOWN {
            chosen = ty;
        } else if category(ty) != category(chosen) {
            return None;
        } else if !preferred(chosen)
            && can_coerce(&[chosen], &[ty], Context::Implicit)
            && !can_coerce(&[ty], &[chosen], Context::Implicit)
        {
            chosen = ty;
        }
    }
    Some(if chosen == oid::UNKNOWN { oid::TEXT } else { chosen })
}

/// Replaces polymorphic types of a signature by what the arguments make of them; returns
/// the result type.
///
/// # Errors
/// 42804 when an argument's type does not determine them.
pub fn resolve_generics(inputs: &[u32], declared: &mut [u32], result: u32) -> Result<u32> {
    if !declared.iter().any(|t| polymorphic(*t)) {
        return Ok(result);
    }
    let mismatch = |what: String| Error::client(state::DATATYPE_MISMATCH, what);
    let mut found = collect(inputs, declared)
        .ok_or_else(|| mismatch("arguments declared \"anyelement\" are not all alike".into()))?;
    if let Some(array) = found.array {
        if array == oid::ANYARRAY {
            found.element = Some(oid::ANYELEMENT);
        } else if let Some(item) = element(array) {
            found.element.get_or_insert(item);
        } else {
            let name = super::sql_name(array);
            return Err(mismatch(format!(
                "argument declared anyarray is not an array but type {name}"
            )));
        }
    }
    if let Some(multirange) = found.multirange {
        found.range.get_or_insert(tables().ty(multirange).map_or(0, |t| t.subtype));
    }
    if let Some(range) = found.range {
        found.element.get_or_insert(tables().ty(range).map_or(0, |t| t.subtype));
    }
    let uses_one = declared.iter().any(|t| family_one(*t));
    if uses_one && found.element.is_none() {
        return Err(mismatch(
            "could not determine polymorphic type because input has type unknown".into(),
        ));
    }
    let common = if found.common.is_empty() {
        found.common_range.map_or(oid::TEXT, |r| tables().ty(r).map_or(oid::TEXT, |t| t.subtype))
    } else {
        common_of(&found.common).unwrap_or(oid::TEXT)
    };
    let real = |declared: u32| -> Result<u32> {
        let item = found.element.unwrap_or(oid::TEXT);
        let array = |item: u32| {
            array_of(item).ok_or_else(|| {
                let name = super::sql_name(item);
                Error::client(
                    state::UNDEFINED_OBJECT,
                    format!("could not find array type for data type {name}"),
                )
            })
        };
        Ok(match declared {
            oid::ANYELEMENT | oid::ANYNONARRAY | oid::ANYENUM => item,
            oid::ANYARRAY => match found.array {
                Some(given) => given,
                None => array(item)?,
            },
            pseudo::ANYRANGE => found.range.unwrap_or(0),
            pseudo::ANYMULTIRANGE => found
                .multirange
                .or_else(|| crate::value::range::multirange_of(found.range?))
                .unwrap_or(0),
            oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLENONARRAY => common,
            oid::ANYCOMPATIBLEARRAY => array(common)?,
            pseudo::ANYCOMPATIBLERANGE => found.common_range.unwrap_or(0),
            other => other,
        })
    };
    let result = real(result)?;
    for ty in declared.iter_mut() {
        *ty = real(*ty)?;
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pathways() {
        assert_eq!(pathway(oid::INT4, oid::INT8, Context::Implicit), Some(Path::Function));
        assert_eq!(pathway(oid::INT8, oid::INT4, Context::Implicit), None);
        assert_eq!(pathway(oid::INT8, oid::INT4, Context::Assignment), Some(Path::Function));
        assert_eq!(pathway(oid::VARCHAR, oid::TEXT, Context::Implicit), Some(Path::Relabel));
        assert_eq!(pathway(oid::INT4, oid::TEXT, Context::Implicit), None);
        assert_eq!(pathway(oid::INT4, oid::TEXT, Context::Assignment), Some(Path::Text));
        assert_eq!(pathway(oid::TEXT, oid::INT4, Context::Explicit), Some(Path::Text));
        assert_eq!(
            pathway(oid::VARCHAR_ARRAY, oid::TEXT_ARRAY, Context::Implicit),
            Some(Path::Array)
        );
    }

    #[test]
    fn common_types() {
        assert_eq!(common_of(&[oid::INT4, oid::INT8]), Some(oid::INT8));
        assert_eq!(common_of(&[oid::UNKNOWN, oid::UNKNOWN]), Some(oid::TEXT));
        assert_eq!(common_of(&[oid::UNKNOWN, oid::DATE]), Some(oid::DATE));
        assert_eq!(common_of(&[oid::VARCHAR, oid::TEXT]), Some(oid::VARCHAR));
        assert_eq!(common_of(&[oid::INT4, oid::TEXT]), None);
        assert_eq!(common_of(&[oid::NUMERIC, oid::INT4]), Some(oid::NUMERIC));
    }

    #[test]
    fn generics() {
        let mut declared = [oid::ANYCOMPATIBLEARRAY, oid::ANYCOMPATIBLE];
        let inputs = [oid::INT4_ARRAY, oid::INT8];
        let result = resolve_generics(&inputs, &mut declared, oid::ANYCOMPATIBLEARRAY).unwrap();
        assert_eq!(result, oid::INT8_ARRAY);
        assert_eq!(declared, [oid::INT8_ARRAY, oid::INT8]);
    }
}
