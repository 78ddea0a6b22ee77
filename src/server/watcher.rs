//! What the engine learns from sessions: metrics, and reads for the mirror to compare.

use crate::mirror::{Mirror, ReadSample, State};
use crate::session::observer::{Failure, Finished, Limits, Observer, Sample};
use crate::sql::plan::{Action, Plan, QueryKind};
use crate::telemetry::Live;
use crate::telemetry::live::Lane;

use std::sync::Arc;
use std::time::Duration;

use super::meter::Meter;

/// Bytes kept of one sampled answer.
const SAMPLE_BYTES: usize = 4 << 20;

/// The observer of a pair.
pub(super) struct Watcher {
    meter: Meter,
    mirror: Mirror,
    live: Arc<Live>,
    row_limit: usize,
}

impl Watcher {
    pub(super) fn new(mirror: Mirror, live: Arc<Live>, row_limit: usize) -> Self {
        Self { meter: Meter::new(), mirror, live, row_limit }
    }
}

impl Observer for Watcher {
    fn wants(&self, plan: &Plan) -> Option<Limits> {
        let wanted = self.mirror.state() == State::Running && self.mirror.reads().wants(plan);
        wanted.then_some(Limits { rows: self.row_limit, bytes: SAMPLE_BYTES })
    }

    fn read(&self, sample: Sample) {
        let sample = ReadSample {
            position: sample.position,
            plan: sample.plan,
            params: sample.params,
            frozen: sample.frozen,
            rows: sample.rows,
            kept: sample.kept,
        };
        if !self.mirror.reads().offer(sample) {
            self.live.skipped(Lane::Read, "queue_full");
        }
    }

    fn wants_failures(&self) -> bool {
        false
    }

    fn failed(&self, _: Failure) {}

    fn finished(&self, finished: Finished<'_>) {
        if let Action::Query(query) = &finished.plan.action
            && query.kind == QueryKind::Read
            && !query.system
            && finished.error.is_none()
            && self.mirror.state() == State::Running
        {
            self.mirror.count_read(finished.plan.fingerprint.id);
        }
        self.meter.finished(finished);
    }

    fn waited(&self, took: Duration) {
        self.meter.waited(took);
    }
}
