//! numeric
/// numeric
#[derive(Clone, Debug, PartialEq)]
pub struct Numeric;
