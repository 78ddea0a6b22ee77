//! Any text through both parsers: an error or a tree, never a panic, and a fingerprint for
//! everything.
#![no_main]

use crossfade::sql;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = sql::parse(text);
    let _ = sql::fingerprint::fingerprint(text);
    let _ = sql::stored::read(text);
});
