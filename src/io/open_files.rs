//! How many files, and so connections, this process may have open.

use std::io;

/// Raises the soft limit of open files to the hard one, as Go programs do at their start, and returns
/// it. Each connection is a file; a proxy that is started from a shell would otherwise stop at 1024.
///
/// # Errors
/// The kernel refuses, which it does not for a limit up to the hard one.
pub fn raise_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives for the call, and the kernel writes exactly one `rlimit` to it.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: `limit` lives for the call and is only read.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_hard_one_and_raising_it_again_changes_nothing() {
        let raised = raise_limit().unwrap();
        let text = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .unwrap();
        let mut numbers = line
            .split_whitespace()
            .filter_map(|word| word.parse::<u64>().ok());
        assert_eq!(
            (numbers.next(), numbers.next()),
            (Some(raised), Some(raised)),
            "{line}"
        );
        assert_eq!(raise_limit().unwrap(), raised);
    }
}
