//! What is configured for an object, and which version of it is in force: last-known-good.
//!
//! Only an object's own text can make it fall back: it does not decode or does not compile. References
//! always resolve against the current objects, so a dangling one never keeps an old version alive.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::config::dynamic::Object;

use super::change::Entry;

/// The newest content of an object and the last good one.
#[derive(Clone, Debug, Default)]
pub(super) struct Input {
    /// What its provider says now.
    pub(super) newest: Entry,
    /// The last version that was good, while the newest is not.
    fallback: Option<Box<Object>>,
    /// Whether the newest version compiled when last tried.
    good: bool,
}

/// A compiled object and what of its configuration is without effect.
#[derive(Debug)]
pub(super) struct Compiled<T> {
    pub(super) value: T,
    pub(super) warnings: Vec<Box<str>>,
}

/// The version of an object that is in force, compiled, if any; and why it is not the newest.
#[derive(Debug)]
pub(super) struct Chosen<T> {
    pub(super) compiled: Option<Compiled<T>>,
    /// That version.
    pub(super) object: Option<Object>,
    /// Why the newest version is not in force.
    pub(super) errors: Vec<Box<str>>,
}

impl Input {
    /// An object's input as of a running system.
    pub(super) fn restored(newest: Entry, last_good: Object) -> Self {
        Self {
            newest,
            fallback: Some(Box::new(last_good)),
            good: false,
        }
    }

    /// Takes a new version in. Returns whether anything changed.
    pub(super) fn set(&mut self, newest: Entry) -> bool {
        if self.newest == newest {
            return false;
        }
        let before = std::mem::replace(&mut self.newest, newest);
        match (&self.newest, before) {
            (Entry::Absent, _) => self.fallback = None,
            (_, Entry::Present(object)) if self.good => self.fallback = Some(Box::new(object)),
            _ => {}
        }
        self.good = false;
        true
    }

    /// Whether there is such an object, good or bad.
    pub(super) fn is_present(&self) -> bool {
        !matches!(self.newest, Entry::Absent)
    }

    /// The last good version, while the newest is not good.
    pub(super) fn fallback(&self) -> Option<&Object> {
        self.fallback.as_deref()
    }

    /// What the API shows: the version in force or, if there is none, the newest that decodes.
    pub(super) fn shown(&self) -> Option<&Object> {
        match &self.newest {
            Entry::Present(object) if self.good || self.fallback.is_none() => Some(object),
            _ => self.fallback(),
        }
    }

    /// Compiles the newest version or, if it is bad, the last good one. A panic counts as a bad version.
    pub(super) fn choose<T>(
        &mut self,
        compile: impl Fn(&Object) -> Result<Compiled<T>, Vec<Box<str>>>,
    ) -> Chosen<T> {
        let guarded = |object: &Object| {
            catch_unwind(AssertUnwindSafe(|| compile(object)))
                .unwrap_or_else(|panic| Err(vec![panic_text(&*panic)]))
        };
        let errors = match &self.newest {
            Entry::Absent => return Chosen::nothing(Vec::new()),
            Entry::Present(object) => match guarded(object) {
                Ok(compiled) => {
                    self.good = true;
                    self.fallback = None;
                    return Chosen {
                        compiled: Some(compiled),
                        object: Some(object.clone()),
                        errors: Vec::new(),
                    };
                }
                Err(errors) => errors,
            },
            Entry::Rejected(errors) => errors
                .iter()
                .map(|error| error.to_string().into())
                .collect(),
        };
        self.good = false;
        let Some(object) = self.fallback() else {
            return Chosen::nothing(errors);
        };
        match guarded(object) {
            Ok(compiled) => Chosen {
                compiled: Some(compiled),
                object: Some(object.clone()),
                errors,
            },
            Err(_) => Chosen::nothing(errors),
        }
    }
}

impl<T> Chosen<T> {
    fn nothing(errors: Vec<Box<str>>) -> Self {
        Self {
            compiled: None,
            object: None,
            errors,
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> Box<str> {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no message");
    format!("internal error while compiling this object, please report it: {text}").into()
}
