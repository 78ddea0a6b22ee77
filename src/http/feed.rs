//! What the page shows as it happens: a point a second, and server-sent events.
//!
//! Owns [`Feed`], the last quarter of an hour as points. They are read from what `/metrics`
//! says, so that the page and Prometheus cannot disagree. It must never hold more than
//! [`POINTS`] points and [`WATCHERS`] streams. Start at [`sample`].

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::App;
use super::api::{answer, failure};
use super::readings::{Point, Readings};
use crate::control::Task;

/// Points kept.
const POINTS: usize = 900;
/// How often one is made.
const EVERY: Duration = Duration::from_secs(1);
/// Streams at the same time.
const WATCHERS: usize = 64;
/// How often a stream looks whether an order has gone on.
const LOOK: Duration = Duration::from_millis(200);
/// Orders sent with a stream, newest first.
const TASKS: usize = 10;

/// One moment: how it stands, and the point of the charts.
#[derive(Clone, Debug, Default, Serialize)]
struct Tick {
    status: Value,
    gates: Value,
    point: Point,
}

/// The points of the last quarter of an hour, and who listens.
#[derive(Clone)]
pub struct Feed {
    points: Arc<Mutex<VecDeque<Point>>>,
    now: watch::Sender<Arc<Tick>>,
    room: Arc<Semaphore>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            points: Arc::default(),
            now: watch::Sender::new(Arc::default()),
            room: Arc::new(Semaphore::new(WATCHERS)),
        }
    }
}

impl Feed {
    fn keep(&self, point: Point) {
        let mut points = self.points.lock();
        if points.len() >= POINTS {
            points.pop_front();
        }
        points.push_back(point);
    }
}

/// Makes points until the interface ends.
pub(super) async fn sample(app: App) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before: Option<Readings> = None;
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = every.tick() => {}
        }
        let status = app.control.engine().status().await;
        let readings = Readings::of(&app.metrics.render());
        let point = readings.point(before.as_ref(), &status);
        before = Some(readings);
        app.feed.keep(point.clone());
        if app.feed.now.receiver_count() > 0 {
            let gates = app.control.engine().gates().await;
            let value = |v| serde_json::to_value(v).unwrap_or_default();
            let tick = Tick { status: value(&status), gates: json!(gates), point };
            app.feed.now.send_replace(Arc::new(tick));
        }
    }
}

/// The points so far.
pub(super) async fn history(State(app): State<App>) -> Response {
    let points: Vec<Point> = app.feed.points.lock().iter().cloned().collect();
    answer(&json!({"points": points}))
}

/// One listener.
struct Listener {
    app: App,
    now: watch::Receiver<Arc<Tick>>,
    told: String,
    _room: OwnedSemaphorePermit,
}

impl Listener {
    /// The next event; None when the proxy stops.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = self.app.stop.cancelled() => return None,
                changed = self.now.changed() => {
                    changed.ok()?;
                    let tick = Arc::clone(&self.now.borrow_and_update());
                    return Some((Ok(event("tick", tick.as_ref())), self));
                }
                _ = look.tick() => {
                    let tasks: Vec<Task> = self.app.control.tasks().into_iter().take(TASKS).collect();
                    let told = progress(&tasks);
                    if told != self.told {
                        self.told = told;
                        return Some((Ok(event("tasks", &json!({"tasks": tasks}))), self));
                    }
                }
            }
        }
    }
}

/// What changes when an order goes on.
fn progress(tasks: &[Task]) -> String {
    let one = |t: &Task| {
        let now = t.now.as_ref().map(|now| (now.text.as_str(), now.rows));
        format!("{}:{}:{:?}:{now:?};", t.id, t.steps.len(), t.state)
    };
    tasks.iter().map(one).collect()
}

fn event(name: &str, data: &impl Serialize) -> Event {
    let text = serde_json::to_string(data).unwrap_or_default();
    Event::default().event(name).data(crate::name::shown_json(&text))
}

/// `/api/v1/stream`: `tick` every second, `tasks` when an order goes on.
pub(super) async fn stream(State(app): State<App>) -> Response {
    let Ok(room) = Arc::clone(&app.feed.room).try_acquire_owned() else {
        let message = "too many pages are open";
        return failure(StatusCode::SERVICE_UNAVAILABLE, "busy", message, None);
    };
    let now = app.feed.now.subscribe();
    let listener = Listener { app, now, told: "new".to_owned(), _room: room };
    let events = stream::unfold(listener, Listener::next);
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}
