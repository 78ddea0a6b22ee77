//! The parsers of client messages, on right, mutated and arbitrary frames.

use bytes::{Bytes, BytesMut};
use crossfade::wire::frame::{self, Frame};
use crossfade::wire::frontend;
use crossfade::wire::{Bind, Frontend, Target};
use proptest::prelude::*;

use crossfade::value::Format;

fn bind_body(values: &[Option<Vec<u8>>], formats: &[i16], results: &[i16]) -> Vec<u8> {
    let mut body = b"portal\0statement\0".to_vec();
    let codes = |body: &mut Vec<u8>, codes: &[i16]| {
        body.extend_from_slice(&u16::try_from(codes.len()).unwrap().to_be_bytes());
        codes.iter().for_each(|c| body.extend_from_slice(&c.to_be_bytes()));
    };
    codes(&mut body, formats);
    body.extend_from_slice(&u16::try_from(values.len()).unwrap().to_be_bytes());
    for value in values {
        match value {
            None => body.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(v) => {
                body.extend_from_slice(&i32::try_from(v.len()).unwrap().to_be_bytes());
                body.extend_from_slice(v);
            }
        }
    }
    codes(&mut body, results);
    body
}

fn parse(kind: u8, body: &[u8]) -> Frontend {
    frontend::parse(Frame { kind, body: Bytes::copy_from_slice(body) }).unwrap()
}

fn bind(body: &[u8]) -> Bind {
    match parse(b'B', body) {
        Frontend::Bind(bind) => bind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_are_understood() {
    let values = [Some(b"12".to_vec()), None, Some(Vec::new())];
    let b = bind(&bind_body(&values, &[0, 1, 0], &[1]));
    assert_eq!((&*b.portal, &*b.statement, b.len()), ("portal", "statement", 3));
    assert_eq!(
        (b.value(0), b.value(1), b.value(2), b.value(3)),
        (Some(&b"12"[..]), None, Some(&b""[..]), None)
    );
    assert_eq!(b.parameter_format(1), Format::Binary);
    assert_eq!(b.parameter_format(2), Format::Text);
    assert_eq!(b.result_formats(3).unwrap(), [Format::Binary; 3]);
    let b = bind(&bind_body(&values, &[1], &[0, 1]));
    assert_eq!(b.parameter_format(2), Format::Binary);
    assert_eq!(b.result_formats(2).unwrap(), [Format::Text, Format::Binary]);
    assert!(b.result_formats(3).is_err());
    match parse(b'P', b"s\0select $1\0\0\x02\0\0\0\x17\0\0\0\0") {
        Frontend::Parse(p) => {
            assert_eq!((&*p.name, &*p.sql, &p.types[..]), ("s", "select $1", &[23, 0][..]));
        }
        other => panic!("{other:?}"),
    }
    match parse(b'E', b"p\0\xff\xff\xff\xff") {
        Frontend::Execute { portal, max_rows } => assert_eq!((&*portal, max_rows), ("p", 0)),
        other => panic!("{other:?}"),
    }
    match parse(b'C', b"Pname\0") {
        Frontend::Close { target, name } => {
            assert_eq!((target, &*name), (Target::Portal, "name"));
        }
        other => panic!("{other:?}"),
    }
}

/// Touches everything a session would touch.
fn exercise(message: &Frontend) {
    if let Frontend::Bind(b) = message {
        for i in 0..=b.len() {
            b.value(i);
            b.parameter_format(i);
            b.result_format(i);
        }
        let _ = b.result_formats(5);
    }
    let _ = format!("{message:?}");
}

fn kinds() -> impl Strategy<Value = u8> {
    prop::sample::select(b"QPBDECSHdcfFX".to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_frames_never_panic(kind in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = frontend::parse(Frame { kind, body: Bytes::from(body) }) {
            exercise(&message);
        }
    }

    #[test]
    fn mutated_binds_never_panic_nor_read_beyond_the_frame(
        values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..12)), 0..6),
        format in 0_i16..2,
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut body = bind_body(&values, &[format], &[format]);
        let mutated = !mutations.is_empty() || cut.is_some();
        for (at, byte) in mutations {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        let message = parse(b'B', &body);
        exercise(&message);
        match message {
            Frontend::Bind(b) if !mutated => {
                prop_assert_eq!(b.len(), values.len());
                for (i, value) in values.iter().enumerate() {
                    prop_assert_eq!(b.value(i), value.as_deref());
                }
            }
            Frontend::Malformed { error, .. } => {
                prop_assert!(mutated, "{error}");
                prop_assert!(!error.fields().fatal);
            }
            _ => {}
        }
    }

    #[test]
    fn mutated_messages_never_panic(
        kind in kinds(),
        text in "[a-z ]{0,20}",
        tail in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let mut body = text.into_bytes();
        body.push(0);
        body.extend(tail);
        exercise(&parse(kind, &body));
    }

    #[test]
    fn streams_cut_anywhere_give_the_same_frames(
        bodies in prop::collection::vec((kinds(), prop::collection::vec(any::<u8>(), 0..50)), 1..8),
        step in 1_usize..20,
    ) {
        let mut stream = Vec::new();
        for (kind, body) in &bodies {
            stream.extend(super::frame(*kind, body));
        }
        let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
        for piece in stream.chunks(step) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = frame::take(&mut buffer, 1000).unwrap() {
                found.push((frame.kind, frame.body.to_vec()));
            }
        }
        prop_assert_eq!(found, bodies);
        prop_assert!(buffer.is_empty());
    }
}
