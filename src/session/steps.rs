//! The steps of a plan that run before its main statement: data-modifying statements in WITH.
//!
//! They run to their ends, on the main statement's connection and in its transaction: when a
//! later one fails, the transaction or savepoint is undone with all of them. Their rows are
//! kept in memory as JSON, up to a bound. Start at [`run`].

use std::collections::HashSet;

use super::query::prepare;
use crate::backend::sqlite::Connection;
use crate::error::{Error, Result, state};
use crate::sql::plan::Step;
use crate::value::{Cell, array};

/// Bytes that the rows of one step may take.
const ROWS_BYTES: usize = 256 << 20;

/// Runs the steps in order; returns the rows of each. `inputs` are the parameters and the
/// frozen values.
pub(super) fn run(connection: &Connection, steps: &[Step], inputs: &[&Cell]) -> Result<Vec<Cell>> {
    let mut done: Vec<Cell> = Vec::with_capacity(steps.len());
    for step in steps {
        let inputs: Vec<&Cell> = inputs.iter().copied().chain(&done).collect();
        let mut statement = prepare(connection, &step.sqlite, &inputs)?;
        let columns = statement.column_count();
        let mut rows = String::from("[");
        let mut seen: HashSet<String> = HashSet::new();
        while statement.step()? {
            if !step.rows {
                continue;
            }
            let key = array::encode((0..step.unique).map(|i| statement.column(i)))?;
            if step.unique > 0 && !seen.insert(key) {
                if step.single {
                    let message = "MERGE command cannot affect row a second time";
                    let hint = "Ensure that not more than one source row matches any one target \
                                row.";
                    return Err(Error::client(state::CARDINALITY_VIOLATION, message).hint(hint));
                }
                continue;
            }
            if rows.len() > 1 {
                rows.push(',');
            }
            rows.push_str(&array::encode((0..columns).map(|i| statement.column(i)))?);
            if rows.len() > ROWS_BYTES {
                let message = "a part of WITH returns more rows than can be kept";
                return Err(Error::client(state::PROGRAM_LIMIT_EXCEEDED, message));
            }
        }
        rows.push(']');
        done.push(Cell::Text(rows));
    }
    Ok(done)
}
