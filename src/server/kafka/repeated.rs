//! What a request names more than once: nothing is done for it, because it cannot be told which of them is meant.

use std::collections::BTreeSet;

/// The items that come more than once.
pub fn repeated<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    let mut again = BTreeSet::new();
    for item in items {
        if seen.contains(&item) {
            again.insert(item);
        } else {
            seen.insert(item);
        }
    }
    again
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_is_found_once() {
        assert_eq!(Vec::from_iter(repeated(["b", "a", "b", "c", "a", "b"])), ["a", "b"]);
        assert!(repeated([1, 2, 3]).is_empty());
    }
}
