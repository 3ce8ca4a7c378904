//! A way to say "stop that" to work under way in another thread.

use tokio::sync::watch;

/// Cloned into the worker; once cancelled it stays so.
#[derive(Clone, Debug)]
pub struct Cancel {
    flag: watch::Sender<bool>,
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}

impl Cancel {
    /// Not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self { flag: watch::Sender::new(false) }
    }

    /// Asks the work to stop.
    pub fn cancel(&self) {
        self.flag.send_replace(true);
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.flag.borrow()
    }

    /// Waits until it is.
    pub(crate) async fn cancelled(&self) {
        let mut receiver = self.flag.subscribe();
        while !*receiver.borrow_and_update() {
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
