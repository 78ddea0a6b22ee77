//! Values in text and binary form: what is read can be written, and reads back equal.
#![no_main]

use crossfade::value::{Style, Type, binary, canonical, oid, text};
use libfuzzer_sys::fuzz_target;

const TYPES: &[u32] = &[
    oid::BOOL,
    oid::BYTEA,
    oid::CHAR,
    oid::NAME,
    oid::INT8,
    oid::INT2,
    oid::INT4,
    oid::TEXT,
    oid::OID,
    oid::JSON,
    oid::FLOAT4,
    oid::FLOAT8,
    oid::BPCHAR,
    oid::VARCHAR,
    oid::DATE,
    oid::TIME,
    oid::TIMESTAMP,
    oid::TIMESTAMPTZ,
    oid::INTERVAL,
    oid::NUMERIC,
    oid::UUID,
    oid::JSONB,
    oid::INT4_ARRAY,
    oid::TEXT_ARRAY,
    oid::NUMERIC_ARRAY,
];

fuzz_target!(|data: &[u8]| {
    let [choice, rest @ ..] = data else { return };
    let ty = Type::new(TYPES[*choice as usize % TYPES.len()]);
    let style = Style::default();
    if let Ok(input) = std::str::from_utf8(rest)
        && let Ok(value) = text::parse(ty, input, &style)
    {
        let mut out = Vec::new();
        text::format(&value, ty, &style, &mut out);
        let out = String::from_utf8(out).expect("text output is UTF-8");
        let again = text::parse(ty, &out, &style).expect("own output is input");
        assert!(canonical::equal(&value, &again, ty), "{value:?} {out:?} {again:?}");
    }
    if let Ok(value) = binary::decode(ty, rest) {
        let mut out = Vec::new();
        if binary::encode(&value, ty, &mut out).is_ok() {
            let again = binary::decode(ty, &out).expect("own output is input");
            assert!(canonical::equal(&value, &again, ty), "{value:?} {again:?}");
        }
    }
});
