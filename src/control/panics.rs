//! A line of the log for each panic, with its place and thread. The process's own report on standard error stays: with
//! `RUST_BACKTRACE` it says how the place was reached.

use std::cell::Cell;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

/// From now on every panic of this process is logged.
pub fn log_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            log(info);
            report(info);
        }));
    });
}

fn log(info: &PanicHookInfo<'_>) {
    thread_local!(static LOGGING: Cell<bool> = const { Cell::new(false) });
    // A panic while one is logged is not logged: that would end the process.
    if LOGGING.replace(true) {
        return;
    }
    let place = info
        .location()
        .map_or_else(String::new, ToString::to_string);
    let thread = std::thread::current();
    tracing::error!(
        place,
        thread = thread.name().unwrap_or_default(),
        "A panic, which is a bug in Ringway; please report it: {}",
        info.payload_as_str().unwrap_or("no message")
    );
    LOGGING.set(false);
}

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Write};
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Keeps what is logged.
    #[derive(Clone, Default)]
    struct Keep(Arc<Mutex<String>>);

    impl Visit for Keep {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            let _ = write!(self.0.lock().unwrap(), "{field}={value:?} ");
        }
    }

    impl Subscriber for Keep {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            event.record(&mut self.clone());
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_panic_is_a_line_of_the_log_that_names_its_place() {
        log_panics();
        log_panics();
        let kept = Keep::default();
        let line = tracing::subscriber::with_default(kept.clone(), || {
            let _ = panic::catch_unwind(|| panic!("number {}", 7));
            line!() - 1
        });
        let text = kept.0.lock().unwrap().clone();
        assert!(text.contains("number 7"), "{text}");
        assert!(text.contains(&format!("panics.rs:{line}:")), "{text}");
        assert_eq!(text.matches("please report it").count(), 1, "{text}");
    }
}
