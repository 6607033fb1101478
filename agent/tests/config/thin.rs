//! An ordinary file becomes the model it describes.

use crate::support::{codes, dump, load_text, model_of};
use lbagent::model::{Authentication, CheckKind, ParamMatch};

pub(crate) const ORDINARY: &str = r#"
! Two directors, one address, two web servers.
global_defs {
    router_id lb1
    enable_script_security
    script_user nobody
}

vrrp_script chk_haproxy {
    script "/usr/local/bin/chk_haproxy --quick"
    interval 2
    weight -20
    fall 2
    rise 2
}

vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    virtual_ipaddress {
        192.0.2.100/24 dev eth0 label eth0:vip
    }
    track_script {
        chk_haproxy
    }
}

virtual_server 192.0.2.100 80 {
    delay_loop 3
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 192.0.2.21 80 {
        weight 1
        TCP_CHECK {
            connect_timeout 3
        }
    }
    real_server 192.0.2.22 80 {
        weight 1
        TCP_CHECK { connect_timeout 3 }
    }
}
"#;

#[test]
fn an_ordinary_file_loads_without_findings() {
    let loaded = load_text(ORDINARY);
    assert_eq!(
        codes(&loaded),
        Vec::<&str>::new(),
        "{}",
        crate::support::findings(&loaded)
    );
    assert!(!loaded.is_refused());
}

#[test]
fn its_model_says_what_the_file_says() {
    let model = model_of(ORDINARY);
    let instance = model.instances.values().next().unwrap();
    assert_eq!((instance.vrid.get(), instance.priority.get()), (51, 150));
    assert_eq!(instance.authentication, Authentication::Pass(*b"1111\0\0\0\0"));
    assert_eq!(instance.tracking.scripts[0].weight, -20);
    let script = &model.scripts["chk_haproxy"];
    assert_eq!(script.script.argv, ["/usr/local/bin/chk_haproxy", "--quick"]);
    assert_eq!(script.script.user, Some((65_534, 65_534)));
    let service = model.services.values().next().unwrap();
    assert_eq!(service.key.to_string(), "192.0.2.100:80/tcp");
    assert_eq!(service.servers.len(), 2);
    let check = &service.servers.values().next().unwrap().checks[0];
    assert!(
        matches!(&check.kind, CheckKind::Tcp(tcp) if tcp.timeout.as_secs() == 3),
        "{}",
        dump(&model)
    );
    assert_eq!(check.delay_loop.as_secs(), 3);
}

#[test]
fn services_know_their_place_in_the_file_and_instances_their_line() {
    let service = |last: u8| {
        format!(
            "virtual_server 192.0.2.{last} 80 {{\n  real_server 198.51.100.{last} 80 {{\n    weight 1\n  }}\n}}\n"
        )
    };
    let text = format!(
        "vrrp_instance VI_1 {{\n  interface eth0\n  virtual_router_id 51\n  virtual_ipaddress {{\n    192.0.2.9/32\n  }}\n}}\n{}{}",
        service(9),
        service(1)
    );
    let layout = model_of(&text).layout;
    let places: Vec<u32> = layout.services.values().copied().collect();
    assert_eq!(places, [1, 0], "by key: 192.0.2.1, 192.0.2.9");
    let place = &layout.instances[&"VI_1".into()];
    assert!(place.ends_with(":1"), "{place}");
}

#[test]
fn a_bfd_session_has_keepaliveds_defaults_and_what_is_written() {
    let of = |lines: &str| {
        let model = model_of(&format!("bfd_instance s {{\n{lines}\n}}\n"));
        (*model.sessions["s"]).clone()
    };
    let plain = of("neighbor_ip 192.0.2.2");
    assert_eq!((plain.path.ttl, plain.ttl_min, plain.multiplier), (255, 255, 5));
    assert_eq!(
        (
            plain.min_rx.as_millis(),
            plain.min_tx.as_millis(),
            plain.idle_tx.as_millis()
        ),
        (10, 10, 1_000)
    );
    assert!(!plain.passive && !plain.path.multihop && plain.path.source.is_none());
    let six = of("neighbour_ip 2001:db8::2\nmax_hops 3");
    assert_eq!((six.path.ttl, six.ttl_min), (64, 61));
    let all = of(
        "neighbor_ip 192.0.2.2\nsource_ip 192.0.2.1\nmin_rx 20.5\nmin_tx 30\nidle_tx 2000\nmultiplier 3\npassive\n\
                  hoplimit 9\nmax_hops -1\nmultihop on",
    );
    assert_eq!(
        (
            all.min_rx.as_micros(),
            all.min_tx.as_millis(),
            all.idle_tx.as_millis()
        ),
        (20_500, 30, 2_000)
    );
    assert_eq!((all.path.ttl, all.ttl_min, all.multiplier), (9, 0, 3));
    assert!(all.passive && all.path.multihop && all.path.source.is_some());
}

#[test]
fn adverts_go_to_the_group_of_their_own_family() {
    for (words, want) in [
        ("", "224.0.0.18"),
        ("mcast_dst_ip 224.0.0.19", "224.0.0.19"),
        ("mcast_dst_ip ff02::19", "224.0.0.18"),
    ] {
        let text = format!(
            "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\n{words}\n\
             virtual_ipaddress {{\n192.0.2.10/24\n}}\n}}\n"
        );
        let model = load_text(&text).model.expect("a model");
        let group = model.instances[&"V".into()].multicast_group;
        assert_eq!(group.to_string(), want, "{words}");
    }
}

#[test]
fn a_process_has_the_words_it_is_written_with() {
    let process = |lines: &str| {
        let instance = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 1\ntrack_process {\np\n}\nvirtual_ipaddress {\n192.0.2.10/24\n}\n}";
        let text = format!("vrrp_track_process p {{\n{lines}\n}}\n{instance}\n");
        let model = model_of(&text);
        let matching = model.processes["p"].matching.clone();
        (matching.command, matching.parameters, matching.compare)
    };
    let words = |text: &str| Some(text.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>());
    // As keepalived 2.2.7 reads them: quotes make one word.
    for (lines, command, parameters, compare) in [
        ("process nginx", "nginx", None, ParamMatch::Exact),
        (
            "process sleep 3600.5 x",
            "sleep",
            words("3600.5 x"),
            ParamMatch::Exact,
        ),
        (
            "process sleep 3600\nparam_match initial",
            "sleep",
            words("3600"),
            ParamMatch::Initial,
        ),
        (
            "process \"sleep 3600.5\"",
            "sleep 3600.5",
            None,
            ParamMatch::Exact,
        ),
        (
            "process nginx\nparam_match partial",
            "nginx",
            Some(Vec::new()),
            ParamMatch::Exact,
        ),
    ] {
        assert_eq!(
            process(lines),
            (command.to_owned(), parameters, compare),
            "{lines}"
        );
    }
}

#[test]
fn process_and_host_have_what_is_written() {
    let text = "net_namespace blue\ninterface_up_down_delays {\neth0 5 7.5\neth1 0.3\n}\nglobal_defs {\nvrrp_priority -10\n\
                vrrp_rt_priority 50\nvrrp_cpu_affinity 0 1\nchecker_priority 5\nchecker_no_swap\nvrrp_delay_after_boot 60\n\
                startup_script \"/usr/local/bin/chk_haproxy now\" nobody\nstartup_script_timeout 30\n}\n\
                vrrp_instance V {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n192.0.2.10/24\n}\n}\n";
    let host = model_of(text).host;
    let seconds = std::time::Duration::from_secs_f64;
    assert_eq!(host.net_namespace.as_deref(), Some("blue"));
    // The others wait for three adverts.
    let delays = |name: &str| (host.interface_delays[name].down, host.interface_delays[name].up);
    assert_eq!(delays("eth0"), (seconds(2.0), seconds(2.0)));
    assert_eq!(delays("eth1"), (seconds(0.3), seconds(0.0)));
    assert_eq!((host.vrrp.nice, host.vrrp.real_time), (Some(-10), Some(50)));
    assert_eq!(host.vrrp.cpus, [0, 1].into());
    assert_eq!((host.checker.nice, host.checker.real_time), (Some(5), None));
    assert!(host.no_swap && host.checker.cpus.is_empty());
    assert_eq!(host.delay_after_boot, seconds(60.0));
    let startup = host.startup.unwrap();
    assert_eq!(startup.script.argv, ["/usr/local/bin/chk_haproxy", "now"]);
    assert_eq!(
        (startup.script.user, startup.timeout),
        (Some((65_534, 65_534)), seconds(30.0))
    );
    assert_eq!(host.shutdown, None);
}
