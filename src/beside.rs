//! Tasks beside a role. One that panics ends its role, so that whoever keeps the role running starts all of it again.

use tokio_util::sync::CancellationToken;

/// Runs a task beside the role that `stop` stops.
pub fn beside(stop: CancellationToken, task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = tokio::spawn(task).await {
            tracing::error!(%error, "A task beside the role ended badly, and so does the role");
            stop.cancel();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_stops_its_role() {
        let stop = CancellationToken::new();
        beside(stop.clone(), async { panic!("on purpose") });
        stop.cancelled().await;
    }

    #[tokio::test]
    async fn a_task_that_ends_stops_nothing() {
        let (stop, (done, ended)) = (CancellationToken::new(), tokio::sync::oneshot::channel::<()>());
        beside(stop.clone(), async { drop(done) });
        ended.await.unwrap_err();
        tokio::task::yield_now().await;
        assert!(!stop.is_cancelled());
    }
}
