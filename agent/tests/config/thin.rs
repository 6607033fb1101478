//! An ordinary file becomes the model it describes.

use crate::support::{codes, dump, load_text, model_of};
use lbagent::model::{Authentication, CheckKind};

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
