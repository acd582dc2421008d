//! Drives the real handlers as template.yaml states: queues, schedules, timeouts.

mod advance;
mod event;
mod functions;
mod poller;
mod schedule;
mod work;

#[cfg(test)]
mod tests;

pub use advance::{AdvanceError, Advanced, TestClock};
pub use event::{schedule_event, sqs_event};
pub use functions::{
    API_INGEST, DELIVERY_WORKER, DISPATCH_SWEEP, Functions, Handlers, Idle, LOG_ROLLER,
    NOTIFICATION_RESENDER, QueueHandler, RECURRING_EXPANDER, REMINDER_SENDER, ScheduleHandler, api,
    functions, instances, reminders, resender, roller, sender, settings, worker,
};
pub use work::{InvocationError, Work, invoke};

use crate::clock::LocalClock;
use crate::template::{Function, Provisioned};
use poller::Source;
use schedule::Ticking;
use serde_json::Value;
use shared::clock::Clock;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

/// The running triggers.
pub struct Runner {
    clock: Arc<LocalClock>,
    functions: Functions,
    definitions: Vec<Function>,
    work: Arc<Work>,
    schedules: Arc<Mutex<Vec<Ticking>>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Why the triggers cannot run.
#[derive(Debug, thiserror::Error)]
#[error("template.yaml has the function {0}, for which this program has no handler")]
pub struct NoHandler(String);

impl Runner {
    /// Starts every trigger of the template.
    ///
    /// # Errors
    /// The template has a function that is not known here.
    pub fn start(
        provisioned: &Provisioned,
        functions: Functions,
        sqs: &aws_sdk_sqs::Client,
        clock: Arc<LocalClock>,
    ) -> Result<Self, NoHandler> {
        let work = Arc::new(Work::default());
        let stop = watch::Sender::new(false);
        let mut ticking = Vec::new();
        let mut sources = Vec::new();
        for function in &provisioned.functions {
            let missing = || NoHandler(function.name.clone());
            for schedule in &function.schedules {
                let handler = functions.schedule.get(function.name.as_str()).ok_or_else(missing)?;
                let (name, handler) = (function.name.clone(), Arc::clone(handler));
                ticking.push(Ticking::new(name, schedule.clone(), function.timeout, handler, clock.now()));
            }
            for trigger in &function.queues {
                sources.push(Source {
                    handler: Arc::clone(functions.queue.get(function.name.as_str()).ok_or_else(missing)?),
                    queue_url: provisioned.queue_urls.get(&trigger.queue).cloned().ok_or_else(missing)?,
                    trigger: trigger.clone(),
                    function: function.name.clone(),
                    timeout: function.timeout,
                    sqs: sqs.clone(),
                    work: Arc::clone(&work),
                });
            }
        }
        let schedules = Arc::new(Mutex::new(ticking));
        let mut tasks: Vec<_> =
            sources.into_iter().flat_map(|source| source.start(&stop.subscribe())).collect();
        let ticks = tick(Arc::clone(&schedules), Arc::clone(&clock), Arc::clone(&work), stop.subscribe());
        tasks.push(tokio::spawn(ticks));
        Ok(Self {
            clock,
            functions,
            definitions: provisioned.functions.clone(),
            work,
            schedules,
            stop,
            tasks,
        })
    }

    /// Invokes a scheduled function now, with an event of the caller's,
    /// without waiting for it.
    pub fn invoke_scheduled(&self, function: &str, event: Value) {
        let definition = self.definitions.iter().find(|definition| definition.name == function);
        let (Some(definition), Some(handler)) = (definition, self.functions.schedule.get(function)) else {
            return;
        };
        let in_hand = self.work.begin(0);
        let handler = Arc::clone(handler);
        tokio::spawn(schedule::run(function.to_owned(), handler, definition.timeout, event, in_hand));
    }

    /// What is in hand.
    pub fn work(&self) -> &Arc<Work> {
        &self.work
    }

    /// Stops the triggers and waits until all that is in hand is done.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // A trigger that crashed has stopped as well.
            let _ = task.await;
        }
        self.work.idle().await;
    }
}

/// Fires what is due, at its time. A tick does not wait for the one before.
async fn tick(
    schedules: Arc<Mutex<Vec<Ticking>>>,
    clock: Arc<LocalClock>,
    work: Arc<Work>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let next = schedules.lock().await.iter().map(|ticking| ticking.next).min();
        let Some(next) = next else { return };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = clock.sleep_until(next) => {}
        }
        // Whoever moves the test clock holds this lock, and fires what he passes.
        let mut schedules = schedules.lock().await;
        let now = clock.now();
        for ticking in schedules.iter_mut().filter(|ticking| ticking.next <= now) {
            tokio::spawn(ticking.tick(now, &work));
        }
    }
}
