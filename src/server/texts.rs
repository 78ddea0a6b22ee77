//! What a statement's shape becomes on either back end, for the surfaces.

use std::collections::BTreeMap;

use crate::control::Translation;
use crate::error::Error;
use crate::schema::Catalog;
use crate::sql::plan::Action;
use crate::sql::{self, Context, Mode};

/// Plans the text against the catalog; never runs it.
pub(super) fn translation(text: &str, catalog: &Catalog) -> Translation {
    match planned(text, catalog) {
        Ok(translation) => translation,
        Err(error) => {
            Translation { error: Some(error.message().to_owned()), ..Translation::default() }
        }
    }
}

fn planned(text: &str, catalog: &Catalog) -> Result<Translation, Error> {
    let path = ["public".to_owned()];
    let context =
        Context { catalog, temporary: &BTreeMap::new(), search_path: &path, param_types: &[] };
    let mut parsed = sql::parse_in(text, Mode::Auto)?.into_iter();
    let Some(first) = parsed.next() else { return Ok(Translation::default()) };
    let plan = sql::plan_in(&first, &context, Mode::Auto)?;
    Ok(match &plan.action {
        Action::Query(query) | Action::Explain(query, _) => Translation {
            sqlite: Some(query.sqlite.clone()),
            postgres: query.postgres.clone(),
            error: None,
        },
        Action::Ddl(_) | Action::Copy(_) | Action::Session(_) | Action::Empty => {
            Translation { postgres: Some(plan.text.clone()), ..Translation::default() }
        }
    })
}
