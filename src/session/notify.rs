//! LISTEN and NOTIFY inside the proxy.
//!
//! Owns who listens to which channel, and each session's bounded queue. A sender must
//! never wait for a listener: a full queue drops the message and says so in the log.
//! Start at [`Hub`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Notifications kept for a session that does not read.
const QUEUE_MAX: usize = 10_000;

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notification {
    /// Process number of the sender.
    pub(crate) pid: i32,
    /// Channel.
    pub(crate) channel: String,
    /// Payload.
    pub(crate) payload: String,
}

/// All channels.
#[derive(Default)]
pub(crate) struct Hub {
    channels: Mutex<BTreeMap<String, BTreeMap<i32, mpsc::Sender<Arc<Notification>>>>>,
}

/// One session's end.
pub(crate) struct Inbox {
    hub: Arc<Hub>,
    pid: i32,
    listening: BTreeSet<String>,
    sender: mpsc::Sender<Arc<Notification>>,
    receiver: mpsc::Receiver<Arc<Notification>>,
}

impl Hub {
    /// Sends to all listeners.
    pub(crate) fn send(&self, notification: Notification) {
        let channels = self.channels.lock();
        let Some(listeners) = channels.get(&notification.channel) else { return };
        let notification = Arc::new(notification);
        for (pid, listener) in listeners {
            if listener.try_send(Arc::clone(&notification)).is_err() {
                tracing::warn!(pid, "a session's notification queue is full; one was dropped");
            }
        }
    }
}

impl Inbox {
    /// An inbox that listens to nothing yet.
    pub(crate) fn new(hub: &Arc<Hub>, pid: i32) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        Self { hub: Arc::clone(hub), pid, listening: BTreeSet::new(), sender, receiver }
    }

    /// LISTEN
    pub(crate) fn listen(&mut self, channel: &str) {
        if self.listening.insert(channel.to_owned()) {
            let mut channels = self.hub.channels.lock();
            channels.entry(channel.to_owned()).or_default().insert(self.pid, self.sender.clone());
        }
    }

    /// UNLISTEN channel, or all.
    pub(crate) fn unlisten(&mut self, channel: Option<&str>) {
        let mut channels = self.hub.channels.lock();
        self.listening.retain(|listened| {
            if channel.is_some_and(|c| c != listened) {
                return true;
            }
            if let Some(listeners) = channels.get_mut(listened) {
                listeners.remove(&self.pid);
                if listeners.is_empty() {
                    channels.remove(listened);
                }
            }
            false
        });
    }

    /// Channels listened to.
    pub(crate) fn listening(&self) -> impl Iterator<Item = &str> {
        self.listening.iter().map(String::as_str)
    }

    /// The next notification that is there already.
    pub(crate) fn try_next(&mut self) -> Option<Arc<Notification>> {
        self.receiver.try_recv().ok()
    }

    /// Waits for the next notification. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Arc<Notification> {
        match self.receiver.recv().await {
            Some(notification) => notification,
            // Our own sender keeps the channel open.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.unlisten(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listeners_hear() {
        let hub = Arc::new(Hub::default());
        let mut a = Inbox::new(&hub, 1);
        let mut b = Inbox::new(&hub, 2);
        a.listen("x");
        let send = |channel: &str| {
            hub.send(Notification { pid: 9, channel: channel.into(), payload: "p".into() });
        };
        send("x");
        send("y");
        assert_eq!(a.try_next().map(|n| n.channel.clone()), Some("x".into()));
        assert!(a.try_next().is_none() && b.try_next().is_none());
        a.unlisten(None);
        send("x");
        assert!(a.try_next().is_none() && hub.channels.lock().is_empty());
    }
}
