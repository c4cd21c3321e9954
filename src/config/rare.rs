//! Texts and lists that few objects have.

use std::fmt;
use std::ops::Deref;

use serde::{Serialize, Serializer};

use super::decode::{Decode, How, ObjectError, Omit, Path};
use super::tree::Node;

/// A text (`Rare<str>`) or list (`Rare<[T]>`) that is mostly empty, and takes 8 bytes then instead of 16. It reads
/// as what it holds.
pub struct Rare<S: ?Sized>(Option<Box<Box<S>>>);

impl<S: ?Sized> Deref for Rare<S>
where
    for<'a> &'a S: Default,
{
    type Target = S;

    fn deref(&self) -> &S {
        match &self.0 {
            Some(held) => held,
            None => Default::default(),
        }
    }
}

impl<S: ?Sized> From<Box<S>> for Rare<S>
where
    Box<S>: Omit,
{
    fn from(held: Box<S>) -> Self {
        Self((!held.is_omitted()).then(|| Box::new(held)))
    }
}

impl From<&str> for Rare<str> {
    fn from(text: &str) -> Self {
        Box::<str>::from(text).into()
    }
}

impl<T, const N: usize> From<[T; N]> for Rare<[T]>
where
    Box<[T]>: Omit,
{
    fn from(items: [T; N]) -> Self {
        Box::<[T]>::from(items).into()
    }
}

impl<T> FromIterator<T> for Rare<[T]> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        items.into_iter().collect::<Box<[T]>>().into()
    }
}

impl<'a, T> IntoIterator for &'a Rare<[T]> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<S: ?Sized> Default for Rare<S> {
    fn default() -> Self {
        Self(None)
    }
}

impl<S: ?Sized> Clone for Rare<S>
where
    Box<S>: Clone,
{
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: ?Sized + PartialEq> PartialEq for Rare<S> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<S: ?Sized + fmt::Debug> fmt::Debug for Rare<S>
where
    for<'a> &'a S: Default,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<S: ?Sized + Serialize> Serialize for Rare<S>
where
    for<'a> &'a S: Default,
{
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        (**self).serialize(serializer)
    }
}

impl<S: ?Sized> Omit for Rare<S> {
    fn is_omitted(&self) -> bool {
        self.0.is_none()
    }
}

impl<S: ?Sized> Decode for Rare<S>
where
    Box<S>: Decode + Omit,
{
    const SCALAR: bool = <Box<S> as Decode>::SCALAR;

    fn decode(
        node: &Node<'_>,
        how: How,
        path: &Path<'_>,
        errors: &mut Vec<ObjectError>,
    ) -> Option<Self> {
        Box::<S>::decode(node, how, path, errors).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small_and_reads_as_what_it_holds() {
        assert_eq!(size_of::<Rare<str>>(), 8);
        assert_eq!(size_of::<Rare<[Box<str>]>>(), 8);
        assert_eq!(&*Rare::<str>::default(), "");
        assert_eq!(&*Rare::<str>::from("a"), "a");
        assert_eq!(Rare::from(""), Rare::<str>::default());
        let list: Rare<[u8]> = [1, 2].into_iter().collect();
        assert_eq!(&*list, [1, 2]);
        assert!(!list.is_omitted() && Rare::<[u8]>::default().is_empty());
        assert_eq!(serde_json::to_string(&list).unwrap(), "[1,2]");
    }
}
