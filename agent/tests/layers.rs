//! The order of the rooms (ARCHITECTURE.md): read from the sources, because one crate's compiler does not hold it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by row; a room may import only from rows with a smaller number.
const ROWS: &[(u32, &[&str])] = &[
    (1, &["model", "wire"]),
    (
        2,
        &[
            "config", "vrrp", "bfd", "track", "health", "net", "ipvs", "notify",
        ],
    ),
    (3, &["engine"]),
    (4, &["io", "control"]),
];

/// What rooms of rows 1 to 3 may not touch, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    ("tokio", "nothing waits in here"),
    ("std::fs", "files are read by io"),
    ("std::process", "processes are started by io"),
    ("std::thread", "threads belong to io"),
    ("TcpStream", "sockets belong to io"),
    ("TcpListener", "sockets belong to io"),
    ("UdpSocket", "sockets belong to io"),
    ("UnixStream", "sockets belong to io"),
    ("socket2", "sockets belong to io"),
    ("Instant::now", "time comes in as a value"),
    ("SystemTime::now", "time comes in as a value"),
    ("std::time::Instant", "time comes in as lb_shared::units::Mono"),
    ("HashMap", "its order is random; use BTreeMap"),
    ("HashSet", "its order is random; use BTreeSet"),
    ("unsafe ", "every unsafe block is in io/sys.rs"),
];

fn row(room: &str) -> Option<u32> {
    ROWS.iter()
        .find(|(_, rooms)| rooms.contains(&room))
        .map(|(row, _)| *row)
}

/// Why `line` may not stand in `room`; `None` if it may.
fn offence(room: &str, line: &str) -> Option<String> {
    let own = row(room)?;
    let code = line.split("//").next().unwrap_or("");
    for path in code.split("crate::").skip(1) {
        let names = match path.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or("").split(',').collect(),
            None => vec![path],
        };
        for name in names {
            let target: String = name
                .trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let Some(other) = row(&target) else { continue };
            if target != room && other >= own {
                return Some(format!("'{room}' (row {own}) imports '{target}' (row {other})"));
            }
        }
    }
    if own <= 3 {
        let found = FORBIDDEN.iter().find(|(word, _)| code.contains(word));
        return found.map(|(word, why)| format!("'{room}' uses {}: {why}", word.trim()));
    }
    None
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a readable folder")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn rooms_import_only_from_lower_rows_and_the_pure_ones_stay_pure() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut offences = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for path in &files {
        let inside = path.strip_prefix(&src).unwrap();
        let room = inside
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        *seen.entry(room.clone()).or_default() += 1;
        for (number, line) in fs::read_to_string(path).unwrap().lines().enumerate() {
            if let Some(why) = offence(&room, line) {
                offences.push(format!("{}:{}: {why}", inside.display(), number + 1));
            }
        }
    }
    assert!(
        seen.contains_key("model") && seen.contains_key("config"),
        "read the wrong folder: {seen:?}"
    );
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn a_room_out_of_order_is_noticed() {
    for (room, line) in [
        ("vrrp", "use crate::engine::Action;"),
        ("vrrp", "use crate::health::CheckId;"),
        ("model", "    let x: crate::config::Loaded = y;"),
        ("engine", "use crate::{model::Model, io::clock};"),
        ("net", "use std::collections::HashMap;"),
        ("health", "let now = std::time::Instant::now();"),
        ("config", "std::fs::read(path)"),
    ] {
        assert!(offence(room, line).is_some(), "{room}: {line}");
    }
    for (room, line) in [
        ("vrrp", "use crate::model::Instance;"),
        ("engine", "use crate::vrrp::Advert;"),
        ("io", "use std::fs; use crate::config::Files;"),
        ("net", "// like a HashMap, but ordered"),
    ] {
        assert_eq!(offence(room, line), None, "{room}: {line}");
    }
}
