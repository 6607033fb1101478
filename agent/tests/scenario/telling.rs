//! Who is told: FIFOs and people, beside the scripts.

use crate::node::{Did, Node, Start, instance_of, model, new_model, server_key, service};
use lbagent::engine::{Input, StopMode};
use lbagent::model::{Fifo, FifoKind, MailRoute, Model, NotifyScripts, QuorumScripts, Script, ServerScripts};
use std::sync::Arc;
use std::time::Duration;

/// Everything that can be told is told, and mail goes to `ops`.
fn talkative(mail: bool) -> Model {
    let mut service = service("rr", 1);
    service.quorum_scripts = QuorumScripts {
        mail,
        ..QuorumScripts::default()
    };
    for server in service.servers.values_mut() {
        Arc::make_mut(server).scripts = ServerScripts {
            mail,
            ..ServerScripts::default()
        };
    }
    let mut model = model(100, service);
    let instance = instance_of(&mut model);
    instance.notify = NotifyScripts {
        mail,
        ..NotifyScripts::default()
    };
    model.global.router_id = Some("LVS1".into());
    model.global.mail = Some(MailRoute {
        server: "192.0.2.25".into(),
        port: 25,
        from: "lb".into(),
        to: vec!["ops".into()],
        helo: "lb".into(),
        timeout: Duration::from_secs(30),
        no_faults: true,
    });
    for (kind, path) in [(FifoKind::All, "/run/all"), (FifoKind::Lvs, "/run/lvs")] {
        let fifo = Fifo {
            path: path.into(),
            owner: None,
            script: (kind == FifoKind::All).then(|| Script {
                argv: vec!["/bin/reader".into()],
                user: None,
            }),
        };
        model.global.fifos.insert(kind, fifo);
    }
    model
}

fn told(node: &mut Node) -> Vec<String> {
    let told = node.did.iter().filter_map(|did| match did {
        Did::Told(text) => Some(text.trim_end().to_owned()),
        Did::Ran(words) => Some(format!("run {words}")),
        _ => None,
    });
    let told = told.collect();
    node.did.clear();
    told
}

#[test]
fn fifos_and_mail_follow_instances_servers_and_services() {
    let mut node = Start::with(talkative(true)).go();
    node.run_for(Duration::from_secs(5), &[]);
    assert_eq!(
        told(&mut node),
        [
            "run /bin/reader /run/all",
            "All: INSTANCE \"VI_1\" BACKUP 100",
            "ops: [LVS1] VRRP Instance VI_1 - Entering BACKUP state => started <=",
            "All: VS [192.0.2.100]:tcp:80 UP",
            "Lvs: VS [192.0.2.100]:tcp:80 UP",
            "ops: [LVS1] Virtualserver [192.0.2.100]:tcp:80 - UP => Gained quorum 1+0=1 <= 1 <=",
            "All: INSTANCE \"VI_1\" MASTER 100",
            "ops: [LVS1] VRRP Instance VI_1 - Entering MASTER state => no advert heard for 3.609s <=",
        ]
    );
    node.run_for(Duration::from_secs(8), &[server_key(1)]);
    let lines = told(&mut node);
    let server = "[198.51.100.1]:tcp:80";
    let vs = "[192.0.2.100]:tcp:80";
    assert_eq!(lines[0], format!("All: RS {server} {vs} DOWN"), "{lines:#?}");
    assert_eq!(lines[1], format!("Lvs: RS {server} {vs} DOWN"));
    assert!(lines[2].starts_with(&format!(
        "ops: [LVS1] Realserver {server} of virtual server {vs} - DOWN => "
    )));
    assert_eq!(lines[3], format!("All: VS {vs} DOWN"));
    assert!(lines[5].starts_with(&format!("ops: [LVS1] Virtualserver {vs} - DOWN => ")));
    assert_eq!(lines.len(), 6, "{lines:#?}");
}

#[test]
fn without_smtp_alert_nobody_gets_mail_and_a_stop_is_only_for_fifos() {
    let mut node = Start::with(talkative(false)).go();
    node.run_for(Duration::from_secs(5), &[]);
    assert!(told(&mut node).iter().all(|line| !line.starts_with("ops:")));
    node.feed(Input::Stop(StopMode::default()));
    assert_eq!(told(&mut node)[0], "All: INSTANCE \"VI_1\" STOP 100");
    let mut node = Start::with(talkative(true)).go();
    node.run_for(Duration::from_secs(5), &[]);
    told(&mut node);
    node.feed(Input::Stop(StopMode::default()));
    assert!(told(&mut node).iter().all(|line| !line.starts_with("ops:")));
}

#[test]
fn a_reload_starts_a_reader_only_for_a_new_fifo_and_repeats_states_when_asked() {
    let mut node = Start::with(talkative(false)).go();
    node.run_for(Duration::from_secs(5), &[]);
    told(&mut node);
    node.feed(Input::Model(Box::new(new_model(talkative(false)))));
    assert!(told(&mut node).is_empty());
    let mut repeating = talkative(false);
    repeating.global.fifo_states_on_reload = true;
    repeating.global.fifos.get_mut(&FifoKind::All).unwrap().path = "/run/other".into();
    node.feed(Input::Model(Box::new(new_model(repeating))));
    assert_eq!(
        told(&mut node),
        ["run /bin/reader /run/other", "All: INSTANCE \"VI_1\" MASTER 100"]
    );
}

#[test]
fn a_removed_instance_is_in_fault_unless_notify_deleted_says_deleted() {
    for (deleted, want) in [
        (false, ["run /n INSTANCE VI_1 FAULT 100", "FAULT"]),
        (true, ["run /gone", "DELETED"]),
    ] {
        let mut model = talkative(false);
        let instance = instance_of(&mut model);
        let script = |path: &str| {
            Some(Script {
                argv: vec![path.into()],
                user: None,
            })
        };
        instance.notify.any = script("/n").filter(|_| !deleted);
        instance.notify.tell_deleted = deleted;
        instance.notify.deleted = script("/gone");
        let mut node = Start::with(model.clone()).go();
        node.run_for(Duration::from_secs(5), &[]);
        told(&mut node);
        model.instances.clear();
        node.feed(Input::Model(Box::new(new_model(model))));
        let lines = told(&mut node);
        let line = format!("All: INSTANCE \"VI_1\" {} 100", want[1]);
        assert!(
            lines.contains(&line) && lines.contains(&want[0].to_owned()),
            "{lines:#?}"
        );
        assert_eq!(lines.len(), 2, "{lines:#?}");
    }
}

#[test]
fn rs_init_notifies_tells_of_servers_that_begin_as_up_and_no_mail_of_it() {
    let model = |first: bool| {
        let mut model = talkative(true);
        let service = Arc::make_mut(model.services.values_mut().next().expect("the model has it"));
        for server in service.servers.values_mut() {
            Arc::make_mut(server).scripts = ServerScripts {
                first,
                up: Some(Script {
                    argv: vec!["/up".into()],
                    user: None,
                }),
                mail: true,
                ..ServerScripts::default()
            };
        }
        model
    };
    let about = |node: &mut Node| {
        let lines = told(node).into_iter();
        lines
            .filter(|it| it.contains("RS [") || it.contains("/up") || it.contains("Realserver"))
            .collect::<Vec<_>>()
    };
    let mut node = Start::with(model(false)).go();
    assert!(about(&mut node).is_empty());
    let mut node = Start::with(model(true)).go();
    let line = "RS [198.51.100.1]:tcp:80 [192.0.2.100]:tcp:80 UP";
    assert_eq!(
        about(&mut node),
        ["run /up", &format!("All: {line}"), &format!("Lvs: {line}")]
    );
    node.feed(Input::Model(Box::new(new_model(model(true)))));
    assert!(about(&mut node).is_empty(), "a reload adds no server");
}
