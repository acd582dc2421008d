//! Writes lines from a thread of its own, so that whoever logs never waits for whoever reads.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that wait to be written; more are dropped, and their number is told.
const WAITING_MAX: usize = 8_192;
/// How long the end of the process waits for a reader that stands still.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

enum Job {
    Line(Vec<u8>),
    /// Answered once all before it is written.
    Flush(SyncSender<()>),
}

/// The way to the thread. Cheap to clone.
#[derive(Clone)]
pub struct Lines {
    jobs: SyncSender<Job>,
    dropped: Arc<AtomicU64>,
}

impl Lines {
    /// Lines that are written to `out`.
    pub fn to(out: impl Write + Send + 'static) -> Self {
        let (lines, jobs) = Self::waiting();
        let dropped = Arc::clone(&lines.dropped);
        std::thread::spawn(move || write_all(out, &jobs, &dropped));
        lines
    }

    fn waiting() -> (Self, Receiver<Job>) {
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        (Self { jobs, dropped: Arc::default() }, waiting)
    }

    /// Waits until all lines so far are written, but not for ever.
    pub fn flush_all(&self) {
        let (done, written) = sync_channel(1);
        // A queue that is full has a reader that stands still.
        if self.jobs.try_send(Job::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_LIMIT);
        }
    }
}

impl Write for Lines {
    /// The subscriber writes a whole line at a time.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.jobs.try_send(Job::Line(bytes.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(mut out: impl Write, jobs: &Receiver<Job>, dropped: &AtomicU64) {
    for job in jobs {
        // A reader that is gone is no reason to stop: the next line may have one.
        match job {
            Job::Line(line) => drop(out.write_all(&line)),
            Job::Flush(done) => {
                let _ = out.flush();
                let _ = done.try_send(());
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ =
                writeln!(out, "({lost} lines were not shown: they came faster than they could be written)");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_logged_before_a_flush_is_written() {
        let captured = Captured::default();
        let mut lines = Lines::to(captured.clone());
        for n in 0..100 {
            writeln!(lines.clone(), "{n}").unwrap();
        }
        lines.write_all(b"last\n").unwrap();
        lines.flush_all();
        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        assert!(text.ends_with("last\n"), "{text}");
    }

    #[test]
    fn a_reader_that_stands_still_holds_nobody_up_and_what_is_lost_is_told() {
        let (mut lines, jobs) = Lines::waiting();
        for _ in 0..WAITING_MAX + 7 {
            lines.write_all(b"x\n").unwrap();
        }
        lines.flush_all();
        let dropped = Arc::clone(&lines.dropped);
        drop(lines);
        let captured = Captured::default();
        write_all(captured.clone(), &jobs, &dropped);
        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("(7 lines were not shown"), "{text}");
        assert_eq!(text.matches("x\n").count(), WAITING_MAX);
    }
}
