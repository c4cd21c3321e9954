//! What a conversion tells: errors that cost an object, losses, and changes of behaviour.

use std::fmt::Display;

use crate::config::decode::ObjectError;
use crate::config::tree::Position;

/// How much of a Traefik 1 setting survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It has no counterpart, or none that could be written: something is missing afterwards.
    Lost,
    /// It was converted, or had no effect; the text says what is different or worth knowing.
    Note,
}

/// One thing that a conversion tells about its source.
#[derive(Clone, Debug, PartialEq)]
pub struct Remark {
    /// Whether something is missing.
    pub weight: Weight,
    /// Which key, where, and what to know.
    pub what: ObjectError,
}

/// What is found while one object, or all, is converted.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// Why the object cannot be had.
    pub errors: Vec<ObjectError>,
    /// What is lost or otherwise.
    pub remarks: Vec<Remark>,
}

impl Problems {
    pub fn error(&mut self, path: impl Display, at: Position, message: impl Into<String>) {
        self.errors.push(ObjectError::new(path, at, message));
    }

    pub fn lost(&mut self, path: impl Display, at: Position, message: impl Into<String>) {
        self.remark(Weight::Lost, path, at, message);
    }

    pub fn note(&mut self, path: impl Display, at: Position, message: impl Into<String>) {
        self.remark(Weight::Note, path, at, message);
    }

    fn remark(
        &mut self,
        weight: Weight,
        path: impl Display,
        at: Position,
        message: impl Into<String>,
    ) {
        let what = ObjectError::new(path, at, message);
        self.remarks.push(Remark { weight, what });
    }
}
