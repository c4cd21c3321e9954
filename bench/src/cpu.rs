//! CPU time of other processes' threads, in nanoseconds, from the scheduler's own accounts.

use std::collections::BTreeMap;
use std::fs;

/// One thread's consumption.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Process that the thread belongs to.
    pub pid: u32,
    /// The thread's name as the kernel shows it.
    pub name: String,
    /// CPU time, user and kernel together.
    pub nanos: u64,
}

/// CPU time of every thread of `pids`, keyed by thread id. Threads that ended are absent.
///
/// `/proc/PID/task/TID/schedstat` counts nanoseconds where `stat` counts ticks of 10 ms. For a thread that is running
/// at this moment the value is at most one scheduler tick old (4 ms at 250 Hz).
pub fn snapshot(pids: &[u32]) -> BTreeMap<u32, Thread> {
    let mut threads = BTreeMap::new();
    for &pid in pids {
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for task in tasks.flatten() {
            let Some(tid) = task.file_name().to_str().and_then(|tid| tid.parse().ok()) else {
                continue;
            };
            let nanos = fs::read_to_string(task.path().join("schedstat"))
                .ok()
                .and_then(|text| text.split(' ').next()?.trim().parse().ok());
            let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            if let Some(nanos) = nanos {
                let name = name.trim().to_owned();
                threads.insert(tid, Thread { pid, name, nanos });
            }
        }
    }
    threads
}

/// What each thread consumed between two snapshots; a thread unknown to `before` counts from its start.
pub fn difference(
    before: &BTreeMap<u32, Thread>,
    after: &BTreeMap<u32, Thread>,
) -> BTreeMap<u32, Thread> {
    let mut difference = after.clone();
    for (tid, thread) in &mut difference {
        let earlier = before.get(tid).map_or(0, |thread| thread.nanos);
        thread.nanos = thread.nanos.saturating_sub(earlier);
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_busy_thread_shows_the_time_it_burned() {
        let pids = [std::process::id()];
        let before = snapshot(&pids);
        let end = Instant::now() + Duration::from_millis(60);
        while Instant::now() < end {}
        let spent = difference(&before, &snapshot(&pids));
        let most = spent.values().map(|thread| thread.nanos).max();
        assert!(most > Some(5_000_000), "{most:?}");
    }
}
