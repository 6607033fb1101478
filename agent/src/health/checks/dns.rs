//! `DNS_CHECK`: one question, and whether what comes back answers it without an error (RFC 1035).

use crate::model::DnsCheck;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use std::str::FromStr as _;

/// A question on its way.
#[derive(Debug)]
pub struct Question {
    id: u16,
    query: Query,
}

impl Question {
    /// `id`: what tells its answer from others. An error when the name is none.
    pub fn new(check: &DnsCheck, id: u16) -> Result<Self, String> {
        let mut name = Name::from_ascii(&check.name)
            .map_err(|error| format!("'{}' is no name to ask for: {error}", check.name))?;
        let kind = RecordType::from_str(&check.kind)
            .map_err(|_| format!("'{}' is no type of record", check.kind))?;
        // Names in answers are always whole ones.
        name.set_fqdn(true);
        let mut query = Query::query(name, kind);
        query.set_query_class(hickory_proto::rr::DNSClass::IN);
        Ok(Self { id, query })
    }

    /// As sent.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        let mut message = Message::new(self.id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(self.query.clone());
        message
            .to_vec()
            .map_err(|error| format!("the question cannot be written: {error}"))
    }

    /// `None`: not an answer to this question, so wait on.
    pub fn judge(&self, bytes: &[u8]) -> Option<Result<(), String>> {
        let message = Message::from_vec(bytes).ok()?;
        let ours = message.metadata.id == self.id
            && message.metadata.message_type == MessageType::Response
            && message.queries.first().is_none_or(|query| *query == self.query);
        if !ours {
            return None;
        }
        Some(match message.metadata.response_code {
            ResponseCode::NoError => Ok(()),
            code => Err(format!("answered with {}", code.to_str())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TcpCheck;
    use std::time::Duration;

    fn check(kind: &str, name: &str) -> DnsCheck {
        DnsCheck {
            connect: TcpCheck {
                to: "192.0.2.1:53".parse().unwrap(),
                from: None,
                device: None,
                mark: 0,
                timeout: Duration::from_secs(1),
            },
            kind: kind.into(),
            name: name.into(),
        }
    }

    #[test]
    fn a_question_is_the_one_that_dig_would_ask() {
        let bytes = Question::new(&check("SOA", "."), 0x1234)
            .unwrap()
            .encode()
            .unwrap();
        assert_eq!(bytes, [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1]);
        for kind in ["A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"] {
            assert!(Question::new(&check(kind, "example.org"), 1).is_ok(), "{kind}");
        }
        assert!(Question::new(&check("A", "not..a.name"), 1).is_err());
    }

    #[test]
    fn f145_only_an_answer_to_this_question_counts() {
        let question = Question::new(&check("A", "example.org"), 7).unwrap();
        let mut answer = question.encode().unwrap();
        assert_eq!(question.judge(&answer), None, "a question is no answer");
        answer[2] |= 0x80;
        assert_eq!(question.judge(&answer), Some(Ok(())));
        answer[3] = 3;
        assert!(matches!(question.judge(&answer), Some(Err(why)) if why.contains("Non-Existent")));
        answer[1] = 8;
        assert_eq!(question.judge(&answer), None, "another id");
        assert_eq!(question.judge(&[0; 5]), None);
        assert_eq!(question.judge(&[0xff; 600]), None);
    }
}
