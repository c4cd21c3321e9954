//! Breaking the simulator on purpose, to prove that checks can fail. Not for: anything that a kernel does.

use std::os::fd::RawFd;

use super::Sim;
use super::net::Sabotage;

/// Breaking things on purpose.
impl Sim {
    /// Whether this is the moment, once per run, in the middle of things.
    pub(super) fn sabotages_now(&mut self, sabotage: Sabotage) -> bool {
        let now = self.net.sabotage == Some(sabotage) && self.random.below(20) == 0;
        if now {
            self.net.sabotage = None;
        }
        now
    }

    /// A wrong socket for bytes to `fd`.
    pub(super) fn misdelivery(&mut self, fd: RawFd) -> Option<RawFd> {
        let wrong = fd + 2;
        let socket = self.sockets.stream(wrong)?;
        let alive = socket.other.is_some() && !socket.eof && !socket.reset;
        (alive && self.sabotages_now(Sabotage::MisdeliverBytes)).then_some(wrong)
    }

    pub(super) fn write_late(&mut self) {
        if let Some((data, at)) = self.late_write
            && self.now >= at
        {
            self.late_write = None;
            self.net.sabotage = None;
            // SAFETY: none; that is the point. The pool keeps its blocks while its reactor lives.
            unsafe { data.write(0x99) };
        }
    }
}
