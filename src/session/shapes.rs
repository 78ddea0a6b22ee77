//! Plans for texts that differ only in their literals.
//!
//! Owns finding the plan of a text's shape, with the text's literals as its parameters. It
//! must never answer with a plan that analysis could have made otherwise: a literal that is
//! not a parameter must be the same, and one that is must be of the same kind. Start at
//! [`Shapes::find`].

use std::sync::Arc;

use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::plans::For;
use crate::error::Result;
use crate::sql::ast::Parsed;
use crate::sql::plan::Plan;
use crate::sql::shape::{Skeleton, Slot};
use crate::sql::{self, Context};
use crate::value::Cell;

/// Plans kept for one skeleton: literals that are no parameters, and kinds, vary.
const VARIANTS_MAX: usize = 8;

/// A plan with the values of its parameters.
#[derive(Debug)]
pub struct Shaped {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Its parameters, from the text's literals.
    pub params: Arc<[Cell]>,
}

/// One plan of a skeleton.
#[derive(Debug)]
struct Variant {
    version: u64,
    path: Vec<String>,
    /// Literals that are part of the plan.
    fixed: Vec<(usize, String)>,
    slots: Vec<Slot>,
    plan: Arc<Plan>,
}

impl Variant {
    fn shaped(&self, skeleton: &Skeleton<'_>, wanted: For<'_>) -> Option<Shaped> {
        let same = self.version == wanted.catalog.version
            && self.path == wanted.search_path
            && self.fixed.iter().all(|(i, text)| {
                skeleton.literals.get(*i).is_some_and(|literal| literal.text == text)
            });
        if !same {
            return None;
        }
        let params: Option<Vec<Cell>> = self.slots.iter().map(|s| skeleton.value(s)).collect();
        Some(Shaped { plan: Arc::clone(&self.plan), params: params?.into() })
    }
}

#[derive(Debug, Default)]
struct Shape(Mutex<Vec<Variant>>);

#[derive(Clone)]
struct Weight;

impl Weighter<Box<str>, Arc<Shape>> for Weight {
    fn weight(&self, key: &Box<str>, _: &Arc<Shape>) -> u64 {
        // Most shapes have one plan, of some ten times the text and a constant part.
        (key.len() * 12 + 6144) as u64
    }
}

/// Plans by shape, shared by all sessions.
pub struct Shapes {
    shapes: Cache<Box<str>, Arc<Shape>, Weight>,
}

impl Shapes {
    /// A cache of about `bytes`.
    pub fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / 8192).unwrap_or(1024);
        Self { shapes: Cache::with_weighter(items, bytes, Weight) }
    }

    /// Whether the shape has been planned before.
    pub fn knows(&self, skeleton: &Skeleton<'_>) -> bool {
        self.shapes.get(skeleton.key.as_str()).is_some()
    }

    /// The plan of a text, from the cache.
    pub fn find(&self, skeleton: &Skeleton<'_>, wanted: For<'_>) -> Option<Shaped> {
        if !wanted.temporary.is_empty() {
            return None;
        }
        let shape = self.shapes.get(skeleton.key.as_str())?;
        let variants = shape.0.lock();
        variants.iter().rev().find_map(|variant| variant.shaped(skeleton, wanted))
    }

    /// Plans a text of one statement by its shape; None when it has to be planned as it is.
    ///
    /// # Errors
    /// As [`sql::plan`].
    pub fn make(
        &self,
        skeleton: &Skeleton<'_>,
        parsed: &Parsed,
        wanted: For<'_>,
    ) -> Result<Option<Shaped>> {
        if !wanted.temporary.is_empty() {
            return Ok(None);
        }
        let context = Context {
            catalog: wanted.catalog,
            temporary: wanted.temporary,
            search_path: wanted.search_path,
            param_types: &[],
        };
        let (plan, slots) = match sql::plan_shape(parsed, skeleton, &context) {
            Ok(Some(made)) => made,
            Ok(None) => return Ok(None),
            // It may be in SQLite's dialect, which is decided for the text as it is.
            Err(error) if sql::undecided(&error, &parsed.text) => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_param = |i: &usize| slots.iter().any(|s| s.literal == *i);
        let fixed = (0..skeleton.literals.len())
            .filter(|i| !is_param(i))
            .map(|i| (i, skeleton.literals[i].text.to_owned()))
            .collect();
        let variant = Variant {
            version: wanted.catalog.version,
            path: wanted.search_path.to_vec(),
            fixed,
            slots,
            plan: Arc::new(plan),
        };
        let shaped = variant.shaped(skeleton, wanted);
        self.keep(skeleton, variant);
        Ok(shaped)
    }

    fn keep(&self, skeleton: &Skeleton<'_>, variant: Variant) {
        let shape = self.shapes.get(skeleton.key.as_str()).unwrap_or_else(|| {
            let shape = Arc::new(Shape::default());
            self.shapes.insert(skeleton.key.as_str().into(), Arc::clone(&shape));
            shape
        });
        let mut variants = shape.0.lock();
        variants.retain(|v| v.version == variant.version);
        if variants.len() >= VARIANTS_MAX {
            variants.remove(0);
        }
        variants.push(variant);
    }
}
