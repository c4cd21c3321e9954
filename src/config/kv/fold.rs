//! Names that differ in case only, as Go's `strings.EqualFold` sees it.

/// The characters of a text without their case: equal for texts that differ in case only.
pub fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(fold)
}

/// Whether two texts differ in case only.
pub fn eq_fold(left: &str, right: &str) -> bool {
    left == right || folded(left).eq(folded(right))
}

/// Unicode's simple folding: by way of upper case, because some lower-case letters share one (σ and ς).
fn fold(c: char) -> char {
    match c {
        c if c.is_ascii() => c.to_ascii_lowercase(),
        // Its upper case is an I, but only Turkish folds it so.
        'ı' => c,
        c => {
            let upper = single(c.to_uppercase()).unwrap_or(c);
            single(upper.to_lowercase()).unwrap_or(upper)
        }
    }
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_case_only_are_equal_as_in_go() {
        for (left, right) in [("Foo", "fOO"), ("É", "é"), ("ΟΔΟΣ", "οδος"), ("ſK", "sk")]
        {
            assert!(eq_fold(left, right), "{left} {right}");
        }
        for (left, right) in [("ı", "i"), ("İ", "i"), ("ß", "ss"), ("a", "ab"), ("e", "é")] {
            assert!(!eq_fold(left, right), "{left} {right}");
        }
    }
}
