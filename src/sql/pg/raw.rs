//! The calls into libpg_query that its Rust crate does not offer: a parse whose error keeps
//! the position, without the crate's own walk over every node.
//!
//! The only `unsafe` code of layer 0. The C parser points the process's descriptor 2 at a
//! pipe while it runs, so calls must not overlap: one lock serialises them. It must never
//! be called on a stack that is not known to be deep enough for the decoded tree: see
//! [`super::deep`].

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};

use parking_lot::Mutex;
use pg_query::protobuf;
use prost::Message as _;

/// What the parser said about a text it refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawError {
    /// PostgreSQL's message.
    pub(super) message: String,
    /// 1-based character position, 0 when unknown.
    pub(super) position: u32,
}

static PARSER: Mutex<()> = Mutex::new(());

#[repr(C)]
struct CBuffer {
    len: usize,
    data: *mut c_char,
}

#[repr(C)]
struct CError {
    message: *mut c_char,
    funcname: *mut c_char,
    filename: *mut c_char,
    lineno: c_int,
    cursorpos: c_int,
    context: *mut c_char,
}

#[repr(C)]
struct CParseResult {
    parse_tree: CBuffer,
    stderr_buffer: *mut c_char,
    error: *mut CError,
}

unsafe extern "C" {
    fn pg_query_parse_protobuf_opts(input: *const c_char, options: c_int) -> CParseResult;
    fn pg_query_free_protobuf_parse_result(result: CParseResult);
}

/// Parses a query string into PostgreSQL's tree.
pub(super) fn parse(text: &CString) -> Result<protobuf::ParseResult, RawError> {
    let _turn = PARSER.lock();
    // SAFETY: `text` is NUL-terminated and outlives the call; the result owns its memory
    // until it is freed below, exactly once.
    let result = unsafe { pg_query_parse_protobuf_opts(text.as_ptr(), 0) };
    let outcome = if result.error.is_null() {
        decode(&result.parse_tree)
    } else {
        // SAFETY: the pointer is not null and points to the error the call has made.
        Err(describe(unsafe { &*result.error }))
    };
    // SAFETY: the result came from the matching call and nothing borrows from it any more.
    unsafe { pg_query_free_protobuf_parse_result(result) };
    outcome
}

fn decode(tree: &CBuffer) -> Result<protobuf::ParseResult, RawError> {
    let bytes = if tree.data.is_null() {
        &[]
    } else {
        // SAFETY: libpg_query gives `len` initialised bytes at `data`.
        unsafe { std::slice::from_raw_parts(tree.data.cast::<u8>(), tree.len) }
    };
    protobuf::ParseResult::decode(bytes)
        .map_err(|e| RawError { message: format!("parse tree: {e}"), position: 0 })
}

fn describe(error: &CError) -> RawError {
    let message = if error.message.is_null() {
        String::new()
    } else {
        // SAFETY: libpg_query's message is a NUL-terminated string.
        unsafe { CStr::from_ptr(error.message) }.to_string_lossy().into_owned()
    };
    RawError { message, position: u32::try_from(error.cursorpos).unwrap_or(0) }
}
