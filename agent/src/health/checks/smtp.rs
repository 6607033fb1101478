//! `SMTP_CHECK`: greets a mail server and leaves again.

use crate::wire::dialog::{Dialog, Step};
use crate::wire::smtp::{Answer, Answers};

/// 220, `HELO`, 250, `QUIT`, 221 (as keepalived).
#[derive(Debug)]
pub struct SmtpDialog {
    helo: String,
    answers: Answers,
    said: Said,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Said {
    Nothing,
    Helo,
    Quit,
}

impl SmtpDialog {
    /// `helo`: the name we give.
    pub fn new(helo: &str) -> Self {
        Self {
            helo: helo.to_owned(),
            answers: Answers::default(),
            said: Said::Nothing,
        }
    }
}

impl Dialog for SmtpDialog {
    fn on_open(&mut self) -> Step {
        Step::More
    }

    fn on_secure(&mut self) -> Step {
        Step::More
    }

    fn on_bytes(&mut self, bytes: &[u8]) -> Step {
        let Answer { code, text } = match self.answers.take(bytes) {
            Ok(Some(answer)) => answer,
            Ok(None) => return Step::More,
            Err(error) => return Step::Fail(error.to_string()),
        };
        let (wanted, after) = match self.said {
            Said::Nothing => (220, "connecting"),
            Said::Helo => (250, "HELO"),
            Said::Quit => (221, "QUIT"),
        };
        if code != wanted {
            return Step::Fail(format!("answered {after} with '{text}', want {wanted}"));
        }
        match self.said {
            Said::Nothing => {
                self.said = Said::Helo;
                Step::Send(format!("HELO {}\r\n", self.helo).into_bytes())
            }
            Said::Helo => {
                self.said = Said::Quit;
                Step::Send(b"QUIT\r\n".to_vec())
            }
            Said::Quit => Step::Pass,
        }
    }

    fn on_end(&mut self) -> Step {
        let after = match self.said {
            Said::Nothing => "before it greeted",
            Said::Helo => "after HELO",
            Said::Quit => "after QUIT, without saying goodbye",
        };
        Step::Fail(format!("hung up {after}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polite_server_passes() {
        let mut dialog = SmtpDialog::new("lb1");
        assert_eq!(dialog.on_open(), Step::More);
        assert_eq!(
            dialog.on_bytes(b"220 mail\r\n"),
            Step::Send(b"HELO lb1\r\n".to_vec())
        );
        assert_eq!(
            dialog.on_bytes(b"250-x\r\n250 y\r\n"),
            Step::Send(b"QUIT\r\n".to_vec())
        );
        assert_eq!(dialog.on_bytes(b"221 bye\r\n"), Step::Pass);
    }

    #[test]
    fn a_refusal_and_a_hang_up_say_where() {
        let fail = |step| match step {
            Step::Fail(why) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            fail(SmtpDialog::new("x").on_bytes(b"421 busy\r\n")),
            "answered connecting with '421 busy', want 220"
        );
        let mut dialog = SmtpDialog::new("x");
        dialog.on_bytes(b"220 a\r\n");
        assert_eq!(fail(dialog.on_end()), "hung up after HELO");
        assert_eq!(
            fail(dialog.on_bytes(b"550 no\r\n")),
            "answered HELO with '550 no', want 250"
        );
    }
}
