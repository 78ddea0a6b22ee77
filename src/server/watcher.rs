//! What the engine learns from sessions: metrics, shapes, reads and failures for the mirror.

use std::sync::Arc;
use std::time::Duration;

use super::meter::Meter;
use crate::backend::postgres::tally::Tally;
use crate::compare::Statements;
use crate::error::Error;
use crate::mirror::{self, Mirror, ReadSample, State};
use crate::session::observer::{Failure, Finished, Limits, Observer, Sample};
use crate::sql::plan::Plan;
use crate::telemetry::live::Lane;

/// Bytes kept of one sampled answer.
const SAMPLE_BYTES: usize = 4 << 20;

/// The observer of a pair.
pub(super) struct Watcher {
    meter: Meter,
    mirror: Mirror,
    row_limit: usize,
}

impl Watcher {
    pub(super) fn new(mirror: Mirror, shapes: Arc<Statements>, row_limit: usize) -> Self {
        Self { meter: Meter::new(shapes), mirror, row_limit }
    }
}

impl Observer for Watcher {
    fn wants(&self, plan: &Plan) -> Option<Limits> {
        let wanted = self.mirror.is_running() && self.mirror.reads().wants(plan);
        wanted.then_some(Limits { rows: self.row_limit, bytes: SAMPLE_BYTES })
    }

    fn read(&self, sample: Sample) {
        self.mirror.offer_read(ReadSample {
            position: sample.position,
            plan: sample.plan,
            params: sample.params,
            frozen: sample.frozen,
            rows: sample.rows,
            kept: sample.kept,
            settings: sample.settings,
            scope: sample.scope,
        });
    }

    fn wants_failures(&self) -> bool {
        self.mirror.is_running()
    }

    fn failed(&self, failure: Failure) {
        self.mirror.offer_failure(mirror::Failure {
            position: failure.position,
            own_writes: failure.own_writes,
            plan: failure.plan,
            params: failure.params,
            frozen: failure.frozen,
            settings: failure.settings.to_vec(),
            error: failure.error,
        });
    }

    fn finished(&self, finished: Finished<'_>) {
        self.meter.count(finished, self.mirror.is_running());
    }

    fn unwatched(&self, plan: &Plan, reason: &'static str) {
        if self.mirror.state() == State::Running {
            self.mirror.skipped(Lane::Read, plan.fingerprint.id, reason);
        }
    }

    fn refused(&self, text: &str, error: &Error) {
        self.meter.refused(text, error);
    }

    fn relayed(&self, tally: &Tally, took: Duration) {
        self.meter.relayed(tally, took);
    }

    fn waited(&self, took: Duration) {
        self.meter.waited(took);
    }
}
