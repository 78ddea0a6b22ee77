//! Frame borders: one type byte, an int4 length, a body.
//!
//! Owns the scan of headers with its limits. It must never look into a body or reserve
//! memory for a length it was merely told. Start at [`scan`].

use bytes::{Bytes, BytesMut};

use crate::error::{Error, Result, state};

/// Largest start-up packet, as in PostgreSQL.
pub const MAX_STARTUP: usize = 10_000;
/// Largest password or SASL message, as in PostgreSQL.
pub const MAX_AUTH: usize = 65_535;
/// Largest message of the kinds that carry only names.
pub const MAX_SMALL: usize = 10_000;
/// Default for the largest message with a statement or data.
pub const MAX_MESSAGE: usize = 256 << 20;

/// One whole message: its type byte and its body without the length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Type byte.
    pub kind: u8,
    /// Body, without type and length.
    pub body: Bytes,
}

/// Reads the header at the start of `buffer`.
///
/// Returns the type and the length of the whole frame (type and length bytes included),
/// or `None` while fewer than five bytes are there.
///
/// # Errors
/// 08P01, fatal, when the length is below 4 or the frame exceeds `max` bytes.
#[inline]
pub fn scan(buffer: &[u8], max: usize) -> Result<Option<(u8, usize)>> {
    let [kind, a, b, c, d, ..] = *buffer else { return Ok(None) };
    let length = i32::from_be_bytes([a, b, c, d]);
    match usize::try_from(length) {
        Ok(n) if (4..=max).contains(&n) => Ok(Some((kind, n + 1))),
        _ => Err(invalid_length()),
    }
}

/// Takes the first frame out of `buffer` when all of it is there.
///
/// # Errors
/// As [`scan`].
#[inline]
pub fn take(buffer: &mut BytesMut, max: usize) -> Result<Option<Frame>> {
    match scan(buffer, max)? {
        Some((kind, total)) if buffer.len() >= total => {
            let body = buffer.split_to(total).freeze().slice(5..);
            Ok(Some(Frame { kind, body }))
        }
        _ => Ok(None),
    }
}

/// The error for a length out of bounds; the stream cannot be trusted any further.
pub(crate) fn invalid_length() -> Error {
    Error::client(state::PROTOCOL_VIOLATION, "invalid message length").fatal()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u8, length: i32) -> Vec<u8> {
        let mut v = vec![kind];
        v.extend_from_slice(&length.to_be_bytes());
        v
    }

    #[test]
    fn lengths_out_of_bounds_are_refused() {
        for length in [0, 3, -1, i32::MIN, i32::MAX, 101] {
            let error = scan(&header(b'Q', length), 100).unwrap_err();
            assert_eq!(error.sqlstate(), state::PROTOCOL_VIOLATION);
            assert!(error.fields().fatal);
        }
        assert_eq!(scan(&header(b'Q', 4), 100).unwrap(), Some((b'Q', 5)));
        assert_eq!(scan(&header(b'Q', 100), 100).unwrap(), Some((b'Q', 101)));
        assert_eq!(scan(b"Q\0\0\0", 100).unwrap(), None);
    }

    #[test]
    fn a_frame_is_taken_only_when_whole() {
        let mut buffer = BytesMut::from(&b"Q\0\0\0\x06ab"[..6]);
        assert_eq!(take(&mut buffer, 100).unwrap(), None);
        buffer.extend_from_slice(b"bS");
        let frame = take(&mut buffer, 100).unwrap().unwrap();
        assert_eq!((frame.kind, &frame.body[..]), (b'Q', &b"ab"[..]));
        assert_eq!(&buffer[..], b"S");
    }
}
