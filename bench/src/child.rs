//! A child process: started, its output read, what it used of the machine
//! looked up, and certainly gone when it is dropped.

use anyhow::{Context, Result, bail};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// How many of the last lines are kept to explain an early end.
const LINES_KEPT: usize = 20;
/// The start-up lines must have come by then.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Start-up lines that may wait to be read; later lines only go to the tail.
const START_LINES: usize = 256;
/// Clock ticks of `/proc/PID/stat` in a second: USER_HZ, fixed on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

type Tail = Arc<Mutex<VecDeque<String>>>;

/// A running program. Dropping it kills it with SIGKILL and waits for its end.
#[derive(Debug)]
pub struct Child {
    name: &'static str,
    process: std::process::Child,
    lines: mpsc::Receiver<String>,
    tail: Tail,
}

impl Child {
    /// Starts `command`; `name` is for messages.
    pub fn start(name: &'static str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("cannot start {name}: {command:?}"))?;
        let tail = Tail::default();
        let (sender, lines) = mpsc::channel(START_LINES);
        if let Some(stdout) = process.stdout.take() {
            read_lines(stdout, Arc::clone(&tail), Some(sender));
        }
        if let Some(stderr) = process.stderr.take() {
            read_lines(stderr, Arc::clone(&tail), None);
        }
        Ok(Self { name, process, lines, tail })
    }

    /// Reads stdout until `wanted` finds something in a line.
    pub async fn announced<T>(&mut self, wanted: impl Fn(&str) -> Option<T>) -> Result<T> {
        let found = tokio::time::timeout(START_LIMIT, async {
            while let Some(line) = self.lines.recv().await {
                if let Some(found) = wanted(&line) {
                    return Some(found);
                }
            }
            None
        });
        match found.await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => bail!("{} ended before it was ready:\n{}", self.name, self.last_lines()),
            Err(_) => bail!("{} was not ready in {START_LIMIT:?}:\n{}", self.name, self.last_lines()),
        }
    }

    /// Fails, with its last words, if it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}):\n{}", self.name, self.last_lines()),
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL, and the wait for its end.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// CPU time used so far, user and system, in seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = self.proc_file("stat")?;
        cpu_seconds(&stat).with_context(|| format!("unexpected /proc stat: {stat}"))
    }

    /// CPU time used so far by all its threads that still run, in milliseconds, to the microsecond.
    pub fn scheduled_millis(&self) -> Result<f64> {
        let mut nanoseconds = 0.0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let times = std::fs::read_to_string(task?.path().join("schedstat"))?;
            let on_cpu = times.split_ascii_whitespace().next().and_then(|first| first.parse::<f64>().ok());
            nanoseconds += on_cpu.with_context(|| format!("unexpected /proc schedstat: {times}"))?;
        }
        Ok(nanoseconds / 1e6)
    }

    /// The resident memory now, in MiB.
    pub fn resident_mib(&self) -> Result<f64> {
        let status = self.proc_file("status")?;
        mib(&status, "VmRSS:").context("no VmRSS in /proc status")
    }

    /// The largest resident memory so far, in MiB.
    pub fn peak_mib(&self) -> Result<f64> {
        let status = self.proc_file("status")?;
        mib(&status, "VmHWM:").context("no VmHWM in /proc status")
    }

    fn proc_file(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.process.id());
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {path} of {}", self.name))
    }

    fn last_lines(&self) -> String {
        lock(&self.tail).iter().cloned().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if it has ended already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn lock(tail: &Tail) -> MutexGuard<'_, VecDeque<String>> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads `from` to its end on a thread of its own, so that the child never waits for a full pipe.
fn read_lines(from: impl Read + Send + 'static, tail: Tail, announce: Option<mpsc::Sender<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if let Some(sender) = &announce {
                let _ = sender.try_send(line.clone());
            }
            let mut tail = lock(&tail);
            if tail.len() == LINES_KEPT {
                tail.pop_front();
            }
            tail.push_back(line);
        }
    });
}

/// Fields 14 and 15 of `/proc/PID/stat`; the second field may itself hold spaces and parentheses.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// A line of `/proc/PID/status`, which counts in KiB.
fn mib(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::{Child, cpu_seconds, mib};
    use std::process::Command;

    #[test]
    fn proc_files_are_read() {
        let stat = "4242 (a (odd) name) S 1 4242 4242 0 -1 4194560 900 0 0 0 150 25 0 0 20 0 9 0 100 1 1";
        assert_eq!(cpu_seconds(stat), Some(1.75));
        assert_eq!(cpu_seconds("4242 (cut"), None);
        let status = "Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t  20480 kB\nVmRSS:\t 1536 kB\n";
        assert_eq!((mib(status, "VmHWM:"), mib(status, "VmRSS:")), (Some(20.0), Some(1.5)));
        assert_eq!(mib("Name:\tx\n", "VmHWM:"), None);
    }

    #[tokio::test]
    async fn an_early_end_is_told_with_the_last_lines() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo starting; echo 'no such port' >&2; exit 3"]);
        let mut child = Child::start("toy", command).expect("starts");
        let error =
            child.announced(|line| line.strip_prefix("ready ").map(str::to_owned)).await.expect_err("ended");
        assert!(error.to_string().contains("toy ended before it was ready:"), "{error}");
        assert!(error.to_string().contains("starting"), "{error}");
    }

    #[tokio::test]
    async fn an_announcement_is_found_among_other_lines() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo hello; echo ready 8080; exec cat /dev/zero >/dev/null"]);
        let mut child = Child::start("toy", command).expect("starts");
        let port =
            child.announced(|line| line.strip_prefix("ready ").map(str::to_owned)).await.expect("announced");
        assert_eq!(port, "8080");
        child.check_alive().expect("alive");
        assert!(child.cpu_seconds().expect("stat") >= 0.0);
        assert!(child.scheduled_millis().expect("schedstat") >= 0.0);
        let (now, most) = (child.resident_mib().expect("status"), child.peak_mib().expect("status"));
        assert!(now > 0.0 && most > 0.0);
        child.kill().expect("killed");
    }
}
