//! Full text search: what `value::search` does, over cells.

use super::args::{Args, boolean, count, text};
use super::{Def, session, strict};
use crate::error::{Error, Result, state};
use crate::value::search::{Language, Options, Query, Vector, document, headline, rank, rank_cd};
use crate::value::{Cell, array, oid};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_to_tsvector", 2, |a| text(document(language(a)?, a.text(1)?).to_string())),
    strict("pg_to_tsvector", 1, |a| text(document(default()?, a.text(0)?).to_string())),
    strict("pg_to_tsquery", 2, |a| shown(Query::of(language(a)?, a.text(1)?)?.as_ref())),
    strict("pg_to_tsquery", 1, |a| shown(Query::of(default()?, a.text(0)?)?.as_ref())),
    strict("pg_plainto_tsquery", 2, |a| shown(Query::plain(language(a)?, a.text(1)?).as_ref())),
    strict("pg_plainto_tsquery", 1, |a| shown(Query::plain(default()?, a.text(0)?).as_ref())),
    strict("pg_phraseto_tsquery", 2, |a| shown(Query::phrase(language(a)?, a.text(1)?).as_ref())),
    strict("pg_phraseto_tsquery", 1, |a| shown(Query::phrase(default()?, a.text(0)?).as_ref())),
    strict("pg_websearch_to_tsquery", 2, |a| shown(Query::web(language(a)?, a.text(1)?).as_ref())),
    strict("pg_websearch_to_tsquery", 1, |a| shown(Query::web(default()?, a.text(0)?).as_ref())),
    strict("pg_ts_headline", 4, |a| headlined(language(a)?, a.text(1)?, a.text(2)?, a.text(3)?)),
    strict("pg_ts_headline", 3, |a| headlined(default()?, a.text(0)?, a.text(1)?, a.text(2)?)),
    strict("pg_setweight", 2, |a| {
        let weight = match a.text(1)? {
            "A" | "a" => 3,
            "B" | "b" => 2,
            "C" | "c" => 1,
            "D" | "d" => 0,
            other => {
                let byte = other.bytes().next().unwrap_or(0);
                return Err(Error::internal(format!("unrecognized weight: {byte}")));
            }
        };
        text(Vector::parse(a.text(0)?)?.weighted(weight).to_string())
    }),
    strict("pg_tsvector_strip", 1, |a| text(Vector::parse(a.text(0)?)?.stripped().to_string())),
    strict("pg_tsvector_length", 1, |a| count(Vector::parse(a.text(0)?)?.lexemes.len())),
    strict("pg_tsvector_to_array", 1, |a| {
        let words = Vector::parse(a.text(0)?)?.lexemes;
        let words: Vec<Cell> = words.into_iter().map(|(word, _)| Cell::Text(word)).collect();
        text(array::encode(words.iter().map(Cell::as_ref))?)
    }),
    strict("pg_tsvector_concat", 2, |a| {
        text(Vector::parse(a.text(0)?)?.concat(&Vector::parse(a.text(1)?)?).to_string())
    }),
    strict("pg_ts_match", 2, |a| match Query::parse(a.text(1)?)? {
        Some(query) => boolean(query.matches(&Vector::parse(a.text(0)?)?)?),
        None => boolean(false),
    }),
    strict("pg_tsquery_join", 3, |a| {
        let and = a.text(2)? == "&";
        shown(
            match (Query::parse(a.text(0)?)?, Query::parse(a.text(1)?)?) {
                (Some(x), Some(y)) => {
                    let (x, y) = (Box::new(x), Box::new(y));
                    Some(if and { Query::And(x, y) } else { Query::Or(x, y) })
                }
                (one, None) | (None, one) => one,
            }
            .as_ref(),
        )
    }),
    strict("pg_tsquery_not", 1, |a| {
        shown(Query::parse(a.text(0)?)?.map(|q| Query::Not(Box::new(q))).as_ref())
    }),
    strict("pg_tsquery_nodes", 1, |a| count(Query::parse(a.text(0)?)?.map_or(0, |q| q.nodes()))),
    strict("pg_ts_rank_cd", 4, |a| {
        let weights = weights(a)?;
        let rank = match Query::parse(a.text(2)?)? {
            Some(query) => rank_cd(weights, &Vector::parse(a.text(1)?)?, &query, a.int(3)?)?,
            None => 0.0,
        };
        Ok(Cell::Real(f64::from(rank)))
    }),
    strict("pg_ts_rank", 4, |a| {
        let weights = weights(a)?;
        let rank = Query::parse(a.text(2)?)?.map_or(Ok(0.0), |query| {
            Ok::<f32, Error>(rank(weights, &Vector::parse(a.text(1)?)?, &query, a.int(3)?))
        })?;
        Ok(Cell::Real(f64::from(rank)))
    }),
];

/// The weights of D, C, B and A that a ranking function is given.
fn weights(a: &Args<'_>) -> Result<[f32; 4]> {
    let mut weights = [0.1_f32, 0.2, 0.4, 1.0];
    let given = a.array(0, oid::FLOAT4)?;
    if given.len() < weights.len() {
        let message = "array of weight is too short";
        return Err(Error::client(state::ARRAY_SUBSCRIPT_ERROR, message));
    }
    for (weight, cell) in weights.iter_mut().zip(given) {
        match cell {
            // A negative weight stands for the default.
            Cell::Real(w) if w < 0.0 => {}
            Cell::Real(w) if w <= 1.0 => *weight = w as f32,
            Cell::Integer(w) if (0..=1).contains(&w) => *weight = w as f32,
            Cell::Null => {
                let message = "array of weight must not contain nulls";
                return Err(Error::client(state::NULL_VALUE_NOT_ALLOWED, message));
            }
            _ => {
                let message = "weight out of range";
                return Err(Error::client(state::INVALID_PARAMETER_VALUE, message));
            }
        }
    }
    Ok(weights)
}

fn language(a: &Args<'_>) -> Result<Language> {
    Language::by_oid(a.oid(0)?).ok_or_else(|| Error::unsupported("this text search configuration"))
}

/// What default_text_search_config says.
fn default() -> Result<Language> {
    session::current()
        .style
        .language
        .ok_or_else(|| Error::unsupported("this text search configuration"))
}

fn headlined(language: Language, document: &str, query: &str, options: &str) -> Result<Cell> {
    let query = Query::parse(query)?;
    text(headline(language, document, query.as_ref(), &Options::parse(options)?)?)
}

fn shown(query: Option<&Query>) -> Result<Cell> {
    text(query.map_or_else(String::new, ToString::to_string))
}
