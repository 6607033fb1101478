//! Comparing what only somebody with the secret can have made.

/// Compares without telling by its duration where the first difference is.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == other.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_difference_counts_and_so_does_the_length() {
        assert!(is_same(b"secret", b"secret") && is_same(b"", b""));
        for other in [&b"Secret"[..], b"secreT", b"secre", b"secrets", b""] {
            assert!(!is_same(b"secret", other), "{other:?}");
        }
    }
}
