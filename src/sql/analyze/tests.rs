//! Tests of parse analysis on text.
