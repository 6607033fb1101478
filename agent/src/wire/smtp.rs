//! Answers of mail servers (RFC 5321 §4.2).

/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 16 * 1024;

/// Puts answers together from what arrives.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    heard: Vec<u8>,
}

/// One whole answer: its code, 0 where there is none, and its last line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    pub code: u16,
    pub text: String,
}

/// The other side goes on and on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the mail server's answer is too long")]
pub struct TooLong;

impl Answers {
    /// Takes what arrived; an answer once it is complete. What came behind it waits for the next call.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<Answer>, TooLong> {
        self.heard.extend_from_slice(bytes);
        if self.heard.len() > ANSWER_MAX {
            return Err(TooLong);
        }
        let mut end = 0;
        for line in self.heard.split_inclusive(|byte| *byte == b'\n') {
            if !line.ends_with(b"\n") {
                return Ok(None);
            }
            end += line.len();
            // Lines with a hyphen behind the code go on.
            if line.get(3) != Some(&b'-') {
                let text = String::from_utf8_lossy(line).trim_end().to_owned();
                self.heard.drain(..end);
                let code = text.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
                return Ok(Some(Answer { code, text }));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_have_several_lines_and_come_in_pieces() {
        let mut answers = Answers::default();
        assert_eq!(answers.take(b"220-mail\r\n220 rea"), Ok(None));
        let answer = answers.take(b"dy\r\n250 next\r\n").unwrap().unwrap();
        assert_eq!((answer.code, answer.text.as_str()), (220, "220 ready"));
        assert_eq!(answers.take(b"").unwrap().unwrap().code, 250);
        assert_eq!(answers.take(b"nonsense\n").unwrap().unwrap().code, 0);
        assert_eq!(answers.take(b"\n").unwrap().unwrap().text, "");
    }

    #[test]
    fn f146_a_server_that_goes_on_and_on_is_cut_short() {
        let mut answers = Answers::default();
        let line = [b"220-", &[b'x'; 996][..], b"\r\n"].concat();
        let taken: Vec<_> = (0..20).map(|_| answers.take(&line)).collect();
        assert!(taken.contains(&Err(TooLong)));
        assert_eq!(Answers::default().take(&[b'x'; 20_000]), Err(TooLong));
    }
}
