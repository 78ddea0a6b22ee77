//! PostgreSQL's wire protocol towards clients.
//!
//! Owns listening, TLS, start-up, authentication, framing, the messages of both
//! directions and the rendering of errors. It must never know what a statement means,
//! touch a back end, or let an error of the shadow out. Start at [`serve`] (accepting),
//! [`Connection`] (one client) and [`write`] (what is sent to it).
//!
//! | file | owns |
//! |---|---|
//! | listener | addresses, limits, the accept loop |
//! | startup | SSLRequest, direct TLS, GSSENC, cancel, version, parameters |
//! | auth | SCRAM-SHA-256, MD5, passwords, trust, the users file |
//! | tls | certificate and key |
//! | stream | TCP or Unix socket, plain or TLS |
//! | frame | message borders and their limits |
//! | frontend | messages from the client |
//! | write | messages to the client, errors |
//! | connection | buffers, reading, one write per flush, the vanished peer |
//! | cancel | cancel keys |

pub mod auth;
pub mod cancel;
mod connection;
pub mod frame;
pub mod frontend;
mod listener;
mod startup;
pub mod stream;
mod tls;
pub mod write;

pub use connection::{Carried, Connection, Raw};
pub use frame::Frame;
pub use frontend::{Bind, Frontend, FunctionCall, Parse, Target, Text};
pub use listener::{Listener, Options, Peer, Server, serve};
pub use startup::Startup;
pub use tls::{Identity, Tls};
pub use write::{Severity, Status};
