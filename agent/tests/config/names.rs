//! Numbers that have names: iproute2's files say which, this host's own before those that came with it.

use crate::support::{Disk, FILE, facts};
use lbagent::config::load;
use lbagent::model::Route;

const ROUTES: &str = "static_routes { 198.51.100.0/24 via 192.0.2.1 table blue scope far realms mine }\n";

fn disk(text: String, files: &[(&str, &str)]) -> Disk {
    files
        .iter()
        .fold(Disk::default().with(FILE, text), |disk, (path, text)| {
            disk.with(path, *text)
        })
}

fn route(disk: &Disk) -> Result<Route, Vec<String>> {
    let loaded = load(disk, FILE, &facts());
    let routes = loaded.model.map(|it| it.static_routes).unwrap_or_default();
    let said = || loaded.findings.iter().map(|it| it.line()).collect();
    routes.into_iter().next().ok_or_else(said)
}

#[test]
fn names_come_from_the_host_s_files_then_from_those_of_iproute2() {
    let found = route(&disk(
        ROUTES.to_owned(),
        &[
            ("/etc/iproute2/rt_tables.d/site.conf", "# ours\n100\tblue\n"),
            ("/usr/share/iproute2/rt_tables", "7 blue\n"),
            ("/usr/share/iproute2/rt_scopes", "0xb4 far # away\n"),
            ("/usr/lib/iproute2/rt_realms", "77 mine\n"),
        ],
    ));
    let found = found.expect("all names are known");
    assert_eq!(
        (found.table, found.scope, found.realms.map(|it| it.to)),
        (100, Some(180), Some(77))
    );
}

#[test]
fn the_folders_are_those_that_the_file_names() {
    let text = format!("global_defs {{ iproute_etc_dir /opt/etc\n iproute_usr_dir /opt/usr\n }}\n{ROUTES}");
    let files = [
        ("/opt/etc/rt_tables", "101 blue\n"),
        ("/opt/usr/rt_scopes", "181 far\n"),
        ("/opt/usr/rt_realms", "78 mine\n"),
    ];
    let found = route(&disk(text.clone(), &files)).expect("all names are known");
    assert_eq!(
        (found.table, found.scope, found.realms.map(|it| it.to)),
        (101, Some(181), Some(78))
    );
    // Where they used to be they are no longer looked for.
    let said = route(&disk(text, &[("/etc/iproute2/rt_tables", "100 blue\n")])).unwrap_err();
    assert!(
        said.iter()
            .any(|it| it.contains("there is no routing table 'blue'")),
        "{said:?}"
    );
}
