//! An input as a list of choices.

/// The bytes of an input, one for each choice; zeros once they are used up.
pub struct Choices<'d>(&'d [u8]);

impl<'d> Choices<'d> {
    /// The choices of an input.
    pub fn new(data: &'d [u8]) -> Self {
        Choices(data)
    }

    /// Whether all are made.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number below `end`, which is between 1 and 256.
    pub fn below(&mut self, end: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first) % end
    }

    /// One of these.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}
