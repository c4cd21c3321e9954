//! Why a reactor could not start, told so that the reader knows what to do.

use std::error::Error;
use std::fmt;
use std::io;

/// The driver could not be set up. Its text says what failed, why, and what to do.
#[derive(Debug)]
pub struct StartError {
    what: String,
    advice: &'static str,
    source: Option<io::Error>,
}

impl StartError {
    pub(super) fn setup(source: io::Error) -> StartError {
        let advice = match source.raw_os_error() {
            Some(libc::ENOSYS) => {
                "the kernel has no io_uring, or a seccomp profile hides it: Linux 6.1 or newer is needed, and a profile \
                 that allows io_uring_setup, io_uring_enter and io_uring_register"
            }
            Some(libc::EPERM | libc::EACCES) => {
                "io_uring is forbidden: either sysctl kernel.io_uring_disabled is 1 or 2 (set it to 0, or put this \
                 user's group into kernel.io_uring_group), or the container's seccomp profile blocks it (Docker's and \
                 containerd's default profiles do)"
            }
            Some(libc::ENOMEM) => {
                "the kernel refused memory for even the smallest ring: raise the memory cgroup's limit or RLIMIT_MEMLOCK \
                 (ulimit -l, systemd LimitMEMLOCK=)"
            }
            Some(libc::EINVAL) => "the kernel is too old: Linux 6.1 or newer is needed",
            Some(libc::EMFILE | libc::ENFILE) => {
                "too many open files: raise RLIMIT_NOFILE (ulimit -n, systemd LimitNOFILE=)"
            }
            _ => "an unexpected error: please report it with the kernel's version",
        };
        StartError {
            what: "io_uring_setup failed".into(),
            advice,
            source: Some(source),
        }
    }

    pub(super) fn too_old() -> StartError {
        StartError {
            what: "io_uring lacks required features".into(),
            advice: "the kernel is too old: Linux 6.1 or newer is needed",
            source: None,
        }
    }

    pub(super) fn buffer_ring(source: io::Error) -> StartError {
        let advice = match source.raw_os_error() {
            Some(libc::ENOMEM) => "raise the memory cgroup's limit or RLIMIT_MEMLOCK",
            _ => "the kernel is too old: Linux 6.1 or newer is needed",
        };
        StartError {
            what: "registering a provided-buffer ring failed".into(),
            advice,
            source: Some(source),
        }
    }

    pub(super) fn notifier(source: io::Error) -> StartError {
        StartError {
            what: "creating an eventfd failed".into(),
            advice: "raise RLIMIT_NOFILE (ulimit -n, systemd LimitNOFILE=)",
            source: Some(source),
        }
    }

    pub(super) fn epoll(source: io::Error) -> StartError {
        StartError {
            what: "setting up epoll failed".into(),
            advice: "raise RLIMIT_NOFILE (ulimit -n, systemd LimitNOFILE=) or sysctl fs.epoll.max_user_watches",
            source: Some(source),
        }
    }

    pub(super) fn self_test(source: io::Error) -> StartError {
        StartError {
            what: "the ring's self-test could not run".into(),
            advice: "it needs a pair of Unix sockets; see the error",
            source: Some(source),
        }
    }

    pub(super) fn misbehaves(what: &str, found: &dyn fmt::Debug) -> StartError {
        StartError {
            what: format!("the ring's self-test failed: {what} ended with {found:?}"),
            advice: "this kernel's io_uring does not behave as Linux 6.1 and newer do: use another kernel version",
            source: None,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "starting the reactor: {}", self.what)?;
        if let Some(source) = &self.source {
            write!(f, " ({source})")?;
        }
        write!(f, "; {}", self.advice)
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_to_do() {
        for (errno, hint) in [
            (libc::ENOSYS, "6.1"),
            (libc::EPERM, "io_uring_disabled"),
            (libc::ENOMEM, "MEMLOCK"),
        ] {
            let text = StartError::setup(io::Error::from_raw_os_error(errno)).to_string();
            assert!(text.contains(hint), "{text}");
        }
    }
}
