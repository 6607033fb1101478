//! Mail: what it says, and the conversation with the mail server (RFC 5321).
//!
//! Subjects are keepalived's, since people have filters for them.

use super::fifo::{server_name, service_name};
use super::{kind_and_name, word};
use crate::model::{MailRoute, NotifyState, NotifyWho};
use crate::wire::dialog::{Dialog, Step};
use crate::wire::smtp::{Answer, Answers};
use lb_shared::names::{ServerId, ServiceKey};

/// A mail, before it has a sender and recipients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mail {
    pub subject: String,
    pub body: String,
}

/// About a new state of an instance or a group. `node`: `router_id`, or the host.
pub fn about_state(node: &str, who: &NotifyWho, state: NotifyState, why: &str) -> Mail {
    let (kind, name) = kind_and_name(who);
    let kind = if kind == "GROUP" { "Group" } else { "Instance" };
    mail(
        node,
        &format!("VRRP {kind} {name} - Entering {} state", word(state)),
        why,
    )
}

/// About a server that comes up or goes down.
pub fn about_server(node: &str, id: &ServerId, up: bool, why: &str) -> Mail {
    let server = server_name(&id.service, &id.server);
    let service = service_name(&id.service);
    let subject = format!(
        "Realserver {server} of virtual server {service} - {}",
        verdict(up)
    );
    mail(node, &subject, why)
}

/// About a service that gains or loses its quorum.
pub fn about_service(node: &str, key: &ServiceKey, up: bool, why: &str) -> Mail {
    let subject = format!("Virtualserver {} - {}", service_name(key), verdict(up));
    mail(node, &subject, why)
}

fn verdict(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

fn mail(node: &str, subject: &str, why: &str) -> Mail {
    Mail {
        subject: format!("[{node}] {subject}"),
        body: format!("=> {why} <=\n"),
    }
}

/// Hands one mail over.
#[derive(Debug)]
pub struct MailDialog {
    /// What is still to be said, last first, each with the code that has to answer it.
    left: Vec<(String, u16)>,
    /// The code the server has to answer with next.
    wanted: u16,
    said: String,
    answers: Answers,
    /// The server has taken the mail: how it says goodbye does not matter.
    taken: bool,
}

impl MailDialog {
    /// `date`: as in RFC 5322, `Thu, 20 Nov 2026 09:20:00 +0000`.
    pub fn new(route: &MailRoute, mail: &Mail, date: &str) -> Self {
        let line = |text: &str| text.replace(['\r', '\n', '\0'], " ");
        let mut lines = vec![
            (format!("HELO {}", line(&route.helo)), 250),
            (format!("MAIL FROM:<{}>", bare(&route.from)), 250),
        ];
        lines.extend(route.to.iter().map(|to| (format!("RCPT TO:<{}>", bare(to)), 250)));
        lines.push(("DATA".to_owned(), 354));
        let to: Vec<String> = route.to.iter().map(|to| line(to)).collect();
        let mut text = format!(
            "Date: {date}\r\nFrom: {}\r\nTo: {}\r\nSubject: {}\r\nX-Mailer: Keepalived\r\n\r\n",
            line(&route.from),
            to.join(",\r\n "),
            line(&mail.subject)
        );
        for body in mail.body.lines() {
            // A line that begins with a dot would end the mail (RFC 5321 §4.5.2).
            let dot = if body.starts_with('.') { "." } else { "" };
            text.push_str(&format!("{dot}{}\r\n", line(body)));
        }
        lines.push((format!("{text}."), 250));
        lines.push(("QUIT".to_owned(), 221));
        lines.reverse();
        Self {
            left: lines,
            wanted: 220,
            said: "the connection".to_owned(),
            answers: Answers::default(),
            taken: false,
        }
    }
}

/// The address in `Name <address>`, without anything that could end the command.
fn bare(address: &str) -> String {
    let inside = match (address.rfind('<'), address.rfind('>')) {
        (Some(from), Some(to)) if from < to => &address[from + 1..to],
        _ => address,
    };
    inside
        .chars()
        .filter(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '<' | '>'))
        .collect()
}

impl Dialog for MailDialog {
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
        // 251: it is passed on elsewhere.
        let good = code == self.wanted || (self.wanted == 250 && code == 251);
        if !good && !self.taken {
            return Step::Fail(format!("the mail server answers {} with '{text}'", self.said));
        }
        let Some((line, wanted)) = self.left.pop() else {
            return Step::Pass;
        };
        self.taken = line == "QUIT";
        self.said = line.split(['\r', ' ']).next().unwrap_or_default().to_owned();
        if self.wanted == 354 {
            self.said = "the text".to_owned();
        }
        self.wanted = wanted;
        Step::Send(format!("{line}\r\n").into_bytes())
    }

    fn on_end(&mut self) -> Step {
        if self.taken {
            return Step::Pass;
        }
        Step::Fail(format!("the mail server hung up after {}", self.said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn route() -> MailRoute {
        MailRoute {
            server: "192.0.2.25".into(),
            port: 25,
            from: "Balancer <lb@example.org>".into(),
            to: vec!["ops@example.org".into(), "night@example.org".into()],
            helo: "lb1".into(),
            timeout: Duration::from_secs(30),
            no_faults: false,
        }
    }

    fn sent(step: Step) -> String {
        match step {
            Step::Send(bytes) => String::from_utf8(bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn subjects_read_as_keepalived_writes_them() {
        let (vi, g1) = (NotifyWho::Instance("VI_1".into()), NotifyWho::Group("G1".into()));
        let id: ServerId = "192.0.2.1:80/tcp/198.51.100.1:80".parse().unwrap();
        let cases = [
            (
                about_state("LVS1", &vi, NotifyState::Master, "x"),
                "[LVS1] VRRP Instance VI_1 - Entering MASTER state",
            ),
            (
                about_state("LVS1", &g1, NotifyState::Fault, "x"),
                "[LVS1] VRRP Group G1 - Entering FAULT state",
            ),
            (
                about_server("LVS1", &id, false, "x"),
                "[LVS1] Realserver [198.51.100.1]:tcp:80 of virtual server [192.0.2.1]:tcp:80 - DOWN",
            ),
            (
                about_service("LVS1", &id.service, true, "x"),
                "[LVS1] Virtualserver [192.0.2.1]:tcp:80 - UP",
            ),
        ];
        for (mail, subject) in cases {
            assert_eq!(
                (mail.subject.as_str(), mail.body.as_str()),
                (subject, "=> x <=\n")
            );
        }
    }

    #[test]
    fn a_mail_is_handed_over_step_by_step() {
        let mail = Mail {
            subject: "[lb1] up".into(),
            body: "one\n.two\n".into(),
        };
        let mut dialog = MailDialog::new(&route(), &mail, "Thu, 20 Nov 2026 09:20:00 +0000");
        assert_eq!(dialog.on_open(), Step::More);
        assert_eq!(dialog.on_bytes(b"220-hello\r\n22"), Step::More);
        let mut said = vec![sent(dialog.on_bytes(b"0 there\r\n"))];
        for answer in [
            "250 x",
            "250 x",
            "250 x",
            "251 elsewhere",
            "354 go on",
            "250 taken",
        ] {
            said.push(sent(dialog.on_bytes(format!("{answer}\r\n").as_bytes())));
        }
        assert_eq!(
            said,
            [
                "HELO lb1\r\n",
                "MAIL FROM:<lb@example.org>\r\n",
                "RCPT TO:<ops@example.org>\r\n",
                "RCPT TO:<night@example.org>\r\n",
                "DATA\r\n",
                "Date: Thu, 20 Nov 2026 09:20:00 +0000\r\nFrom: Balancer <lb@example.org>\r\n\
                 To: ops@example.org,\r\n night@example.org\r\nSubject: [lb1] up\r\nX-Mailer: Keepalived\r\n\r\n\
                 one\r\n..two\r\n.\r\n",
                "QUIT\r\n",
            ]
        );
        assert_eq!(dialog.on_end(), Step::Pass, "a server may hang up now");
    }

    #[test]
    fn a_refusal_says_what_was_refused_and_how() {
        let mail = Mail {
            subject: "x".into(),
            body: String::new(),
        };
        let mut dialog = MailDialog::new(&route(), &mail, "");
        dialog.on_bytes(b"220 x\r\n");
        dialog.on_bytes(b"250 x\r\n");
        assert_eq!(
            dialog.on_bytes(b"550 not you\r\n"),
            Step::Fail("the mail server answers MAIL with '550 not you'".into())
        );
        let mut dialog = MailDialog::new(&route(), &mail, "");
        dialog.on_bytes(b"220 x\r\n");
        assert_eq!(
            dialog.on_end(),
            Step::Fail("the mail server hung up after HELO".into())
        );
        let mut dialog = MailDialog::new(&route(), &mail, "");
        assert!(matches!(dialog.on_bytes(&[b'2'; 20_000]), Step::Fail(_)));
    }

    #[test]
    fn no_name_or_reason_can_add_a_header_or_a_command() {
        let mut evil = route();
        evil.to = vec!["a@b>\r\nDATA".into()];
        evil.from = "x\r\nBcc: y".into();
        let mail = Mail {
            subject: "s\r\nBcc: z".into(),
            body: "b\r.\r\nQUIT".into(),
        };
        let dialog = MailDialog::new(&evil, &mail, "");
        let all: Vec<&str> = dialog.left.iter().rev().map(|(line, _)| line.as_str()).collect();
        assert_eq!(all[1..3], ["MAIL FROM:<xBcc:y>", "RCPT TO:<a@bDATA>"]);
        assert!(
            all[4]
                .split("\r\n")
                .all(|line| !line.starts_with("Bcc") && line != "QUIT\r"),
            "{}",
            all[4]
        );
    }
}
