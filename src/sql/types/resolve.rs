//! Which function or operator a call means.
//!
//! Owns PostgreSQL's candidate selection: exact match, unknown literals, binary-coercible
//! and preferred types, type categories, variadic and default arguments. It must never build
//! an expression or an error text. Start at [`function`] and [`operator`].

use super::coerce::{Context, binary_coercible, can_coerce, polymorphic};
use super::{Operator, Proc, base, category, preferred, tables};
use crate::value::extension::Extensions;
use crate::value::oid;

/// What looking up an operator or function found.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// Exactly one fits best.
    One(T),
    /// None fits.
    None,
    /// Several fit and none is best.
    Ambiguous,
}

/// A function chosen for a call.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The function.
    pub proc: &'static Proc,
    /// Declared types for the arguments in the function's own order: VARIADIC expanded,
    /// as many as are given.
    pub declared: Vec<u32>,
    /// For each declared argument, which of the call's arguments it is; None where the
    /// function's default applies.
    pub order: Vec<Option<usize>>,
    /// The last arguments were collected by VARIADIC.
    pub expanded: bool,
}

/// One candidate: its input types, and what it is.
struct Candidate<T> {
    types: Vec<u32>,
    what: T,
}

/// Finds the operator `name` for operands of these types (left is None for prefix ones), among
/// PostgreSQL's own and those of extensions.
pub fn operator(
    name: &str,
    left: Option<u32>,
    right: u32,
    extensions: Extensions,
) -> Found<Operator> {
    let all = tables().operators(name);
    let there = |o: &&Operator| extensions.show(o.oid);
    let Some(left) = left else {
        let prefix: Vec<Operator> =
            all.iter().filter(there).copied().filter(|o| o.left == 0).collect();
        if let Some(exact) = prefix.iter().find(|o| o.right == right) {
            return Found::One(*exact);
        }
        let candidates =
            prefix.into_iter().map(|o| Candidate { types: vec![o.right], what: o }).collect();
        return best(&[right], candidates);
    };
    // An unknown operand is first taken to be of the other one's type.
    let (exact_left, exact_right) = match (left, right) {
        (oid::UNKNOWN, r) if r != oid::UNKNOWN => (r, r),
        (l, oid::UNKNOWN) if l != oid::UNKNOWN => (l, l),
        both => both,
    };
    let find = |l: u32, r: u32| {
        let exact = |o: &Operator| o.left == l && o.right == r && o.left != 0;
        all.iter().filter(there).copied().find(exact)
    };
    if let Some(exact) = find(exact_left, exact_right) {
        return Found::One(exact);
    }
    if (left == oid::UNKNOWN || right == oid::UNKNOWN)
        && let Some(exact) = find(base(exact_left), base(exact_right))
    {
        return Found::One(exact);
    }
    let candidates = all
        .iter()
        .filter(there)
        .filter(|o| o.left != 0)
        .map(|o| Candidate { types: vec![o.left, o.right], what: *o })
        .collect();
    best(&[left, right], candidates)
}

/// Finds the function `name` for arguments of these types. `names` are the names of the last
/// arguments when they are given by name; `variadic` says the last one is marked VARIADIC.
pub fn function(
    name: &str,
    information: bool,
    inputs: &[u32],
    names: &[&str],
    variadic: bool,
    extensions: Extensions,
) -> Found<Chosen> {
    let mut candidates: Vec<Candidate<Chosen>> = Vec::new();
    let there = |p: &&Proc| p.information == information && extensions.show(p.oid);
    for proc in tables().procs(name).iter().filter(there) {
        let Some(chosen) = fit(proc, inputs.len(), names, variadic) else { continue };
        let types: Vec<u32> = given_types(&chosen, inputs.len());
        // Of two that look alike to this call, one without VARIADIC expansion or defaults wins.
        let rank = |c: &Chosen| (c.expanded, c.order.len());
        match candidates.iter_mut().find(|c| c.types == types) {
            Some(same) if rank(&chosen) < rank(&same.what) => same.what = chosen,
            Some(_) => {}
            None => candidates.push(Candidate { types, what: chosen }),
        }
    }
    if let Some(exact) = candidates.iter().position(|c| c.types == inputs) {
        return Found::One(candidates.swap_remove(exact).what);
    }
    best(inputs, candidates)
}

/// The declared types in the order of the call's own arguments.
fn given_types(chosen: &Chosen, count: usize) -> Vec<u32> {
    let mut types = vec![0; count];
    for (declared, given) in chosen.declared.iter().zip(&chosen.order) {
        if let Some(slot) = given.and_then(|g| types.get_mut(g)) {
            *slot = *declared;
        }
    }
    types
}

/// How a call of `count` arguments maps onto a function, if it does.
fn fit(proc: &'static Proc, count: usize, names: &[&str], variadic: bool) -> Option<Chosen> {
    let declared = proc.arguments.to_vec();
    if !names.is_empty() {
        return fit_named(proc, count, names);
    }
    let straight = |declared: Vec<u32>, given: usize| Chosen {
        proc,
        order: (0..declared.len()).map(|i| (i < given).then_some(i)).collect(),
        declared,
        expanded: false,
    };
    if variadic {
        return (proc.variadic != 0 && declared.len() == count).then(|| straight(declared, count));
    }
    if proc.variadic != 0 {
        if count < declared.len() {
            return None;
        }
        let fixed = declared.len() - 1;
        let mut types = declared[..fixed].to_vec();
        types.resize(count, proc.variadic);
        let order = (0..count).map(Some).collect();
        return Some(Chosen { proc, declared: types, order, expanded: true });
    }
    if count > declared.len() || count + proc.defaults < declared.len() {
        return None;
    }
    Some(straight(declared, count))
}

fn fit_named(proc: &'static Proc, count: usize, names: &[&str]) -> Option<Chosen> {
    let declared = proc.arguments.to_vec();
    if count > declared.len() || proc.names.is_empty() {
        return None;
    }
    let positional = count.checked_sub(names.len())?;
    let mut order: Vec<Option<usize>> =
        (0..declared.len()).map(|i| (i < positional).then_some(i)).collect();
    // Input arguments' names in order: OUT arguments are not counted.
    let inputs: Vec<&str> = if proc.modes.is_empty() {
        proc.names.to_vec()
    } else {
        let modes = proc.modes.bytes();
        proc.names
            .iter()
            .zip(modes)
            .filter(|(_, m)| matches!(m, b'i' | b'b' | b'v'))
            .map(|(n, _)| *n)
            .collect()
    };
    for (i, name) in names.iter().enumerate() {
        let slot = inputs.iter().position(|n| n == name)?;
        let place = order.get_mut(slot)?;
        if place.is_some() {
            return None;
        }
        *place = Some(positional + i);
    }
    let first_default = declared.len() - proc.defaults.min(declared.len());
    if order.iter().take(first_default).any(Option::is_none) {
        return None;
    }
    Some(Chosen { proc, declared, order, expanded: false })
}

/// Finds the best of candidates that are given with their types, as [`function`] does.
pub fn among<T>(inputs: &[u32], candidates: Vec<(Vec<u32>, T)>) -> Found<T> {
    let mut candidates: Vec<Candidate<T>> =
        candidates.into_iter().map(|(types, what)| Candidate { types, what }).collect();
    if let Some(exact) = candidates.iter().position(|c| c.types == inputs) {
        return Found::One(candidates.swap_remove(exact).what);
    }
    best(inputs, candidates)
}

/// Keeps what the arguments can be coerced to, then selects the best.
fn best<T>(inputs: &[u32], candidates: Vec<Candidate<T>>) -> Found<T> {
    let fitting: Vec<Candidate<T>> = candidates
        .into_iter()
        .filter(|c| can_coerce(inputs, &c.types, Context::Implicit))
        .collect();
    match fitting.len() {
        0 => Found::None,
        1 => fitting.into_iter().next().map_or(Found::None, |c| Found::One(c.what)),
        _ => select(inputs, fitting).map_or(Found::Ambiguous, Found::One),
    }
}

/// Keeps the candidates with the highest score, unless all score 0 in the way of `matches`.
fn keep_best<T>(
    candidates: Vec<Candidate<T>>,
    score: impl Fn(&[u32]) -> usize,
) -> Vec<Candidate<T>> {
    let top = candidates.iter().map(|c| score(&c.types)).max().unwrap_or(0);
    candidates.into_iter().filter(|c| score(&c.types) == top).collect()
}

/// PostgreSQL's tie breaking among candidates that all accept the arguments.
fn select<T>(inputs: &[u32], candidates: Vec<Candidate<T>>) -> Option<T> {
    let bases: Vec<u32> =
        inputs.iter().map(|t| if *t == oid::UNKNOWN { *t } else { base(*t) }).collect();
    let unknowns = bases.iter().filter(|t| **t == oid::UNKNOWN).count();
    let exact = |types: &[u32]| {
        bases.iter().zip(types).filter(|(i, t)| **i != oid::UNKNOWN && i == t).count()
    };
    let mut left = keep_best(candidates, exact);
    if left.len() == 1 {
        return left.pop().map(|c| c.what);
    }
    let categories: Vec<u8> = bases.iter().map(|t| category(*t)).collect();
    let exact_or_preferred = |types: &[u32]| {
        bases
            .iter()
            .zip(types)
            .zip(&categories)
            .filter(|((i, t), c)| {
                **i != oid::UNKNOWN && (i == t || (category(**t) == **c && preferred(**t)))
            })
            .count()
    };
    left = keep_best(left, exact_or_preferred);
    if left.len() == 1 {
        return left.pop().map(|c| c.what);
    }
    if unknowns == 0 {
        return None;
    }
    left = by_category(&bases, left);
    if left.len() == 1 {
        return left.pop().map(|c| c.what);
    }
    // Last resort: take the unknowns to be of the one type all known arguments have.
    if unknowns < bases.len() {
        let known: Vec<u32> = bases.iter().copied().filter(|t| *t != oid::UNKNOWN).collect();
        let first = *known.first()?;
        if known.iter().all(|t| *t == first) {
            let assumed = vec![first; bases.len()];
            left.retain(|c| can_coerce(&assumed, &c.types, Context::Implicit));
            if left.len() == 1 {
                return left.pop().map(|c| c.what);
            }
        }
    }
    None
}

/// For each unknown argument: string wins if any candidate takes one, else the category all
/// agree on; then the preferred type of that category where some candidate takes it.
fn by_category<T>(bases: &[u32], candidates: Vec<Candidate<T>>) -> Vec<Candidate<T>> {
    let mut slots: Vec<Option<(u8, bool)>> = vec![None; bases.len()];
    let mut resolved = true;
    for (i, slot) in slots.iter_mut().enumerate() {
        if bases[i] != oid::UNKNOWN {
            continue;
        }
        let mut chosen: Option<(u8, bool)> = None;
        let mut conflict = false;
        for candidate in &candidates {
            let ty = candidate.types.get(i).copied().unwrap_or(0);
            let (cat, pref) = (category(ty), preferred(ty));
            match chosen {
                None => chosen = Some((cat, pref)),
                Some((c, p)) if c == cat => chosen = Some((c, p || pref)),
                Some(_) if cat == b'S' => {
                    chosen = Some((cat, pref));
                }
                Some(_) => conflict = true,
            }
        }
        match chosen {
            Some((b'S', _)) => *slot = chosen,
            Some(_) if !conflict => *slot = chosen,
            _ => {
                resolved = false;
                break;
            }
        }
    }
    if !resolved {
        return candidates;
    }
    let fits = |types: &[u32]| {
        slots.iter().zip(types).all(|(slot, ty)| match slot {
            None => true,
            Some((cat, pref)) => category(*ty) == *cat && (!*pref || preferred(*ty)),
        })
    };
    if candidates.iter().any(|c| fits(&c.types)) {
        candidates.into_iter().filter(|c| fits(&c.types)).collect()
    } else {
        candidates
    }
}

/// Whether a call `name(x)` of one argument is a cast in the manner of a function.
pub fn function_cast(name: &str, input: u32) -> Option<u32> {
    let target = tables().type_oid(name)?;
    if polymorphic(target) || category(target) == b'P' {
        return None;
    }
    if input == oid::UNKNOWN || binary_coercible(input, target) {
        return Some(target);
    }
    match super::coerce::pathway(input, target, Context::Explicit) {
        Some(super::coerce::Path::Relabel | super::coerce::Path::Text) => Some(target),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_extension_has_is_there_with_it() {
        use oid::*;
        let all = Extensions::all();
        let of = |extensions| operator("->", Some(HSTORE), UNKNOWN, extensions);
        assert!(matches!(of(all), Found::One(o) if o.right == TEXT));
        let keys = |extensions| function("akeys", false, &[UNKNOWN], &[], false, extensions);
        assert!(matches!(keys(all), Found::One(_)));
        assert!(matches!(keys(Extensions::default()), Found::None));
        let equal = |left, right| match operator("=", Some(left), right, all) {
            Found::One(o) => Some(o.left),
            _ => None,
        };
        assert_eq!(equal(CITEXT, UNKNOWN), Some(CITEXT));
        assert_eq!(equal(CITEXT, TEXT), Some(TEXT));
        assert_eq!(equal(UNKNOWN, UNKNOWN), Some(TEXT));
        let near = |extensions| operator("<->", Some(TEXT), TEXT, extensions);
        assert!(matches!((near(all), near(Extensions::default())), (Found::One(_), Found::None)));
    }

    fn op(name: &str, left: u32, right: u32) -> Option<(u32, u32, u32)> {
        match operator(name, Some(left), right, Extensions::default()) {
            Found::One(o) => Some((o.left, o.right, o.result)),
            _ => None,
        }
    }

    fn func(name: &str, inputs: &[u32]) -> Option<(Vec<u32>, u32)> {
        match function(name, false, inputs, &[], false, Extensions::default()) {
            Found::One(c) => Some((c.declared, c.proc.result)),
            _ => None,
        }
    }

    #[test]
    fn operators_resolve_as_in_postgresql() {
        use oid::*;
        assert_eq!(op("+", INT4, INT4), Some((INT4, INT4, INT4)));
        assert_eq!(op("+", INT4, INT8), Some((INT4, INT8, INT8)));
        assert_eq!(op("+", INT4, NUMERIC), Some((NUMERIC, NUMERIC, NUMERIC)));
        assert_eq!(op("=", VARCHAR, UNKNOWN), Some((TEXT, TEXT, BOOL)));
        assert_eq!(op("=", VARCHAR, VARCHAR), Some((TEXT, TEXT, BOOL)));
        assert!(op("+", DATE, UNKNOWN).is_none());
        assert_eq!(op("||", TEXT, INT4), Some((TEXT, ANYNONARRAY, TEXT)));
        assert_eq!(op("||", UNKNOWN, UNKNOWN), Some((TEXT, TEXT, TEXT)));
        assert_eq!(op("~~", BPCHAR, UNKNOWN), Some((BPCHAR, TEXT, BOOL)));
        assert_eq!(op("->>", JSONB, UNKNOWN), Some((JSONB, TEXT, TEXT)));
        assert_eq!(op("=", NAME, UNKNOWN), Some((NAME, NAME, BOOL)));
        assert!(op("+", INT4, TEXT).is_none());
        assert!(matches!(
            operator("+", Some(UNKNOWN), UNKNOWN, Extensions::default()),
            Found::Ambiguous
        ));
    }

    #[test]
    fn functions_resolve_as_in_postgresql() {
        use oid::*;
        assert_eq!(func("lower", &[UNKNOWN]), Some((vec![TEXT], TEXT)));
        assert_eq!(func("length", &[VARCHAR]), Some((vec![TEXT], INT4)));
        assert_eq!(func("sum", &[INT4]), Some((vec![INT4], INT8)));
        assert_eq!(func("round", &[NUMERIC, INT4]), Some((vec![NUMERIC, INT4], NUMERIC)));
        assert_eq!(func("abs", &[INT2]), Some((vec![INT2], INT2)));
        assert_eq!(func("round", &[INT4]), Some((vec![FLOAT8], FLOAT8)));
        assert_eq!(func("concat", &[TEXT, INT4]), Some((vec![ANY, ANY], TEXT)));
        assert!(func("lower", &[INT4]).is_none());
        let none = Extensions::default();
        let named = function("make_interval", false, &[INT4], &["days"], false, none);
        let Found::One(named) = named else { panic!("not found") };
        assert_eq!(named.order[3], Some(0));
    }

    #[test]
    fn casts_in_the_manner_of_functions() {
        assert_eq!(function_cast("int4", oid::UNKNOWN), Some(oid::INT4));
        assert_eq!(function_cast("text", oid::INT4), Some(oid::TEXT));
        assert_eq!(function_cast("nothing", oid::INT4), None);
    }
}
