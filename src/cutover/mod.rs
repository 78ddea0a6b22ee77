//! The switch: promote, rollback, and recovery after a crash at any step.
//!
//! Owns who is primary. State is durable on both sides; [`recovery`] is the pure function
//! over both states that decides what to do next, and the only place where that is decided.
//! It must never guess: what cannot be proven is a pause with a reason. Start at
//! [`recovery::next_step`].

mod anew;
mod back;
mod claim;
pub mod clients;
mod copy;
pub mod facts;
pub mod front;
pub mod gate;
pub mod gates;
pub mod limits;
mod observe;
pub mod phase;
mod promote;
pub mod recovery;
mod rehearse;
pub mod reign;
mod sequences;
pub mod state;
pub mod switch;
