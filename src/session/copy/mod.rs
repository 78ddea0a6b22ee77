//! COPY's formats: options, and rows read from and printed into them.
//!
//! Owns the text, CSV and binary formats as bytes; it knows no tables and no back end.
//! Reading order: [`options`] → [`input`] → [`output`].

pub(crate) mod input;
pub(crate) mod options;
pub(crate) mod output;
