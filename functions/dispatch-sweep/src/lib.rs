//! `dispatch-sweep`: due activities to the queue, by QoS, every minute (SPEC §10).

use lambda_runtime::{Error, LambdaEvent};
use serde::Deserialize;
use serde_json::Value;
use shared::context::Context;
use shared::sweep::{self, SweepError, SweepReport};
use shared::telemetry::Metrics;

/// What invokes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub enum SweepEvent {
    /// An operator, after the queue was purged or lost: enqueue everything due within the horizon again.
    Requeue {
        /// How much.
        requeue: Requeue,
    },
    /// The schedule, whatever its event says: a tick in a shape that nobody has foreseen must not stop the sweep.
    Schedule,
}

impl TryFrom<Value> for SweepEvent {
    type Error = serde_json::Error;

    /// # Errors
    /// It has a `requeue` that is not `all`: whoever asks for that does not want a mere sweep.
    fn try_from(event: Value) -> Result<Self, serde_json::Error> {
        match event.get("requeue") {
            Some(requeue) => Ok(Self::Requeue { requeue: Requeue::deserialize(requeue)? }),
            None => Ok(Self::Schedule),
        }
    }
}

/// How much is enqueued again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Requeue {
    /// All of it.
    All,
}

/// The function.
#[derive(Clone)]
pub struct Sweeper {
    ctx: Context,
    metrics: Metrics,
}

impl Sweeper {
    /// Built once for a process.
    pub fn new(ctx: Context, metrics: Metrics) -> Self {
        Self { ctx, metrics }
    }

    /// One sweep.
    ///
    /// # Errors
    /// [`SweepError`]; the next sweep goes on where this one stopped.
    pub async fn handle(&self, event: SweepEvent) -> Result<SweepReport, SweepError> {
        let report = match event {
            SweepEvent::Requeue { requeue: Requeue::All } => sweep::requeue(&self.ctx).await?,
            SweepEvent::Schedule => sweep::sweep(&self.ctx).await?,
        };
        tracing::info!(
            slices = report.slices,
            enqueued = report.enqueued,
            recovered = report.recovered,
            backlog = report.backlog,
            oldest_overdue_s = report.oldest_overdue_seconds,
            "swept"
        );
        let overdue = u64::try_from(report.oldest_overdue_seconds).unwrap_or_default();
        self.metrics.sweep(self.ctx.clock.now(), report.backlog as u64, overdue);
        self.metrics.unreadable(self.ctx.clock.now(), &self.ctx.unreadable);
        Ok(report)
    }

    /// The same, as the Lambda runtime calls it.
    ///
    /// # Errors
    /// See [`Sweeper::handle`].
    pub async fn invoke(&self, event: LambdaEvent<SweepEvent>) -> Result<SweepReport, Error> {
        Ok(Box::pin(self.handle(event.payload)).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whatever_asks_for_no_requeue_is_a_tick() {
        let read = |event: &Value| serde_json::from_value::<SweepEvent>(event.clone());
        let requeue = SweepEvent::Requeue { requeue: Requeue::All };
        assert_eq!(read(&json!({ "requeue": "all" })).unwrap(), requeue);
        for tick in [
            serde_json::from_str(include_str!("../../../events/dispatch-sweep/schedule.json")).unwrap(),
            json!({ "time": 5, "detail": "{}" }),
            json!({}),
            json!([]),
            json!("tick"),
            Value::Null,
        ] {
            assert_eq!(read(&tick).unwrap(), SweepEvent::Schedule, "{tick}");
        }
        for refused in [json!({ "requeue": "some" }), json!({ "requeue": null })] {
            assert!(read(&refused).is_err(), "{refused}");
        }
    }
}
