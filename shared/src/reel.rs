//! What a line of a recording holds beside its JSON, so that a program of ours can take it for what the agent said.
//!
//! JSON shows an object as scripts want it; a whole state cannot be made of that again. So a line that tells of a
//! state, an event or counters has them a second time under [`KEY`], in the form of the protocol, as hexadecimal
//! digits. The first line names the protocol's version under [`PROTOCOL`].

use crate::frame::{self, VERSION, Version};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Write as _;

/// Under which a line has the protocol's form.
pub const KEY: &str = "wire";
/// Under which the first line has the protocol's version.
pub const PROTOCOL: &str = "protocol";

/// Puts the version into the first line.
pub fn begin(line: &mut Value) {
    line[PROTOCOL] = VERSION.to_string().into();
}

/// Whether a first line is of a recording in this version: `Err` says which one it is of, if any.
pub fn check(line: &Value) -> Result<Version, Option<String>> {
    match line[PROTOCOL].as_str() {
        Some(version) if version == VERSION.to_string() => Ok(VERSION),
        Some(version) => Err(Some(version.to_owned())),
        None => Err(None),
    }
}

/// Adds what a line tells in the protocol's form. What cannot be told so is left to the JSON.
pub fn put<T: Serialize>(line: &mut Value, told: &T) {
    let Ok(body) = frame::encode_record(told) else {
        return;
    };
    let mut digits = String::with_capacity(body.len() * 2);
    for byte in body {
        // Writing into a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    line[KEY] = digits.into();
}

/// The reverse; `None` where a line has nothing, or nothing of this kind.
pub fn take<T: DeserializeOwned>(line: &Value) -> Option<T> {
    let digits = line[KEY].as_str()?.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = digits.chunks(2).map(|pair| match *pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    });
    frame::decode_record(&bytes.collect::<Option<Vec<u8>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::request::Snapshot;
    use serde_json::json;

    #[test]
    fn what_was_put_is_taken_and_nothing_else() {
        let snapshot = fixture::demo().snapshot;
        let mut line = json!({"seq": snapshot.seq});
        assert_eq!(take::<Snapshot>(&line), None);
        put(&mut line, &snapshot);
        assert_eq!(take::<Snapshot>(&line), Some(snapshot));
        for broken in ["", "0", "zz", "00ff", "ü"] {
            assert_eq!(take::<Snapshot>(&json!({"wire": broken})), None, "{broken}");
        }
    }

    #[test]
    fn another_version_is_named() {
        let mut line = json!({"rec": 1});
        assert_eq!(check(&line), Err(None));
        begin(&mut line);
        assert_eq!(check(&line), Ok(VERSION));
        assert_eq!(check(&json!({"protocol": "0.1"})), Err(Some("0.1".into())));
    }
}
