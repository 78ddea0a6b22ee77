//! Faults that can be set in the translator: what looks for wrong answers must find each.
//!
//! Owns [`ALL`]. Only builds with the feature `failpoints` can have one set; elsewhere [`on`] is
//! false and costs nothing. It must never be set by anything but the environment variable
//! `CROSSFADE_FAULT`, read at start. Start at [`ALL`].

/// Every fault there is.
pub const ALL: &[&str] = &[
    "null_order",
    "left_join",
    "not_in",
    "is_distinct",
    "union_all",
    "aggregate_filter",
    "aggregate_distinct",
    "case_else",
    "cast_length",
    "upsert_where",
    "window_frame",
];

#[cfg(feature = "failpoints")]
static SET: std::sync::OnceLock<&'static str> = std::sync::OnceLock::new();

/// Sets a fault for the whole process; false when there is none of that name, or one is set.
#[cfg(feature = "failpoints")]
pub fn set(name: &str) -> bool {
    ALL.iter().find(|n| **n == name).is_some_and(|n| SET.set(n).is_ok())
}

/// Whether a fault is set.
#[cfg(feature = "failpoints")]
pub(crate) fn on(name: &str) -> bool {
    debug_assert!(ALL.contains(&name), "add {name} to fault::ALL");
    SET.get().is_some_and(|set| *set == name)
}

/// Whether a fault is set.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn on(_name: &str) -> bool {
    false
}
