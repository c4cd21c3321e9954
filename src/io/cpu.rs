//! The CPUs this process may use, pinning a thread to one of them, and which threads give way to which.
//!
//! A shard belongs to one CPU: its ring, buffers and connections stay in that CPU's caches. Where the process
//! has no more CPUs than shards, all other threads share these CPUs, and must not interrupt a shard whenever a
//! change wakes them. Not here: how many shards there are (`control`).

use std::io;
use std::mem;

pub use super::os::thread_time;

/// The CPUs of this process's affinity mask, in ascending order; never empty.
///
/// This is what `taskset`, a cpuset cgroup or systemd's `CPUAffinity=` left to the process, not what the
/// machine has. CPUs above 1023 are not seen (`cpu_set_t` has 1024 bits).
pub fn affinity() -> Vec<usize> {
    // SAFETY: `cpu_set_t` is a plain bit array, for which all zeroes is a valid (empty) value.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `set` lives for the call and its true size is passed; pid 0 means the calling thread.
    let result =
        unsafe { libc::sched_getaffinity(0, mem::size_of::<libc::cpu_set_t>(), &raw mut set) };
    if result != 0 {
        // More than 1024 CPUs configured: the kernel refuses the small mask.
        return (0..std::thread::available_parallelism().map_or(1, usize::from)).collect();
    }
    let bits = usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
    // SAFETY: `CPU_ISSET` reads one bit of `set`; every index is below `CPU_SETSIZE`.
    let cpus: Vec<usize> = (0..bits)
        .filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) })
        .collect();
    if cpus.is_empty() { vec![0] } else { cpus }
}

/// Binds the calling thread to `cpu`.
///
/// # Errors
/// `EINVAL` when the CPU does not exist, is offline, or is not in the process's cpuset. A shard then
/// runs unpinned, which is slower but correct.
pub fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= usize::try_from(libc::CPU_SETSIZE).unwrap_or(0) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: as in `affinity`, all zeroes is a valid set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `cpu` was checked to be below `CPU_SETSIZE`, so the bit lies inside `set`.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: `set` lives for the call and its true size is passed; pid 0 means the calling thread.
    let result =
        unsafe { libc::sched_setaffinity(0, mem::size_of::<libc::cpu_set_t>(), &raw const set) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets the calling thread, and those that it starts from now on, wait for the running thread of a CPU to
/// pause instead of interrupting it (`SCHED_BATCH`, sched(7)). Their share of a busy CPU stays the same.
///
/// Without effect if somebody has given the process another policy than the usual one, or forbids the change.
pub fn give_way() {
    change_policy(libc::SCHED_OTHER, libc::SCHED_BATCH);
}

/// Undoes [`give_way`] for the calling thread: what a shard does.
pub fn take_precedence() {
    change_policy(libc::SCHED_BATCH, libc::SCHED_OTHER);
}

fn change_policy(from: libc::c_int, to: libc::c_int) {
    // SAFETY: plain system calls about the calling thread; the parameter lives for the call.
    unsafe {
        let mut parameter: libc::sched_param = mem::zeroed();
        parameter.sched_priority = 0;
        if libc::sched_getscheduler(0) == from {
            libc::sched_setscheduler(0, to, &raw const parameter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_give_way_until_they_take_precedence() {
        // SAFETY: a plain system call.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        std::thread::spawn(move || {
            let usual = policy();
            give_way();
            let given = policy();
            let inherited = std::thread::spawn(move || {
                let inherited = policy();
                take_precedence();
                (inherited, policy())
            });
            let (inherited, taken) = inherited.join().expect("no panic");
            // Where the suite itself runs with another policy, nothing changes.
            let expected = match usual {
                libc::SCHED_OTHER => libc::SCHED_BATCH,
                other => other,
            };
            assert_eq!((given, inherited, taken), (expected, expected, usual));
        })
        .join()
        .expect("the thread's assertions hold");
    }

    #[test]
    fn a_pinned_thread_sees_exactly_its_cpu() {
        let all = affinity();
        assert!(!all.is_empty());
        for &cpu in &all {
            std::thread::spawn(move || {
                pin(cpu).expect("a CPU of the mask can be pinned");
                assert_eq!(affinity(), vec![cpu]);
            })
            .join()
            .expect("the pinned thread's assertions hold");
        }
        assert_eq!(affinity(), all, "pinning a thread leaves the others alone");
    }

    #[test]
    fn pinning_to_a_cpu_that_does_not_exist_is_an_error() {
        std::thread::spawn(|| {
            assert!(pin(1023).is_err() || affinity() == vec![1023]);
            assert!(pin(usize::MAX).is_err());
        })
        .join()
        .expect("the thread's assertions hold");
    }
}
