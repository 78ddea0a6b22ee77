//! Bytes from a client and from a server, cut into frames and parsed: never a panic, never
//! a read beyond the frame, never a frame larger than allowed.
#![no_main]

use bytes::BytesMut;
use crossfade::backend::postgres::server::parse_error;
use crossfade::error::Culprit;
use crossfade::wire::Frontend;
use crossfade::wire::frame;
use crossfade::wire::frontend;
use libfuzzer_sys::fuzz_target;

const MAX: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let mut buffer = BytesMut::from(data);
    while let Some(kind) = buffer.first().copied() {
        let Ok(max) = frontend::limit(kind, MAX) else { break };
        let Ok(Some(frame)) = frame::take(&mut buffer, max) else { break };
        assert!(frame.body.len() <= max.max(MAX));
        let length = frame.body.len();
        if let Ok(Frontend::Bind(bind)) = frontend::parse(frame) {
            for index in 0..=bind.len() {
                assert!(bind.value(index).is_none_or(|v| v.len() <= length));
                let _ = (bind.parameter_format(index), bind.result_format(index));
            }
            let _ = bind.result_formats(bind.len());
        }
    }
    let _ = parse_error(data, Culprit::Shadow);
});
