//! Every setting in force, as clients are told of it.

use crate::support::model_of;
use lb_shared::settings::{Settings, Told};
use lbagent::engine;

fn settings(priority: &str, pass: &str) -> Settings {
    let text = format!(
        "global_defs {{\n vrrp_garp_master_delay 7\n}}\nvrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n \
         {priority}\n authentication {{\n auth_type PASS\n auth_pass {pass}\n }}\n virtual_ipaddress {{\n 192.0.2.1/24\n \
         }}\n}}\nvirtual_server 192.0.2.1 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server 198.51.100.1 80 \
         {{\n TCP_CHECK {{ }}\n }}\n real_server 198.51.100.2 80 {{\n weight 3\n TCP_CHECK {{ }}\n }}\n}}\n"
    );
    engine::settings(&model_of(&text), 7)
}

fn value<'a>(of: &'a Settings, object: &str, setting: &str) -> &'a Told {
    let (_, numbers) = of.objects.iter().find(|(name, _)| name == object).expect(object);
    let found = of.of(numbers).find(|(name, _)| name == setting);
    &found.unwrap_or_else(|| panic!("{object} has no {setting}")).1
}

#[test]
fn what_no_line_says_is_there_with_what_it_comes_from_elsewhere() {
    let it = settings("priority 150", "hunter2");
    let one = |text: &str| Told::One(text.to_owned());
    assert_eq!(value(&it, "vrrp:VI_1", "priority"), &one("150"));
    assert_eq!(value(&it, "vrrp:VI_1", "advert_int"), &one("1s"));
    assert_eq!(value(&it, "vrrp:VI_1", "garp_master_delay"), &one("7s"));
    assert_eq!(value(&it, "vrrp:VI_1", "auth_pass"), &Told::Hidden);
    assert_eq!(value(&it, "vs:192.0.2.1:80/tcp", "quorum"), &one("1"));
    assert_eq!(
        value(&it, "rs:192.0.2.1:80/tcp/198.51.100.2:80", "weight"),
        &one("3")
    );
    assert_eq!(
        value(&it, "rs:192.0.2.1:80/tcp/198.51.100.1:80", "TCP_CHECK retry"),
        &one("1")
    );
    let told = it.lines().join("\n") + &it.json().to_string();
    assert!(!told.contains("hunter2"), "{told}");
    assert_eq!(it.revision, 7);
}

#[test]
fn what_is_written_and_what_is_meant_anyway_are_the_same() {
    let (one, two) = (settings("priority 100", "a"), settings("", "b"));
    assert!(one.differences(&two, &Default::default()).is_empty());
    let found = one.differences(&settings("priority 90", "a"), &Default::default());
    let texts: Vec<&str> = found.iter().map(|it| it.text.as_str()).collect();
    assert_eq!(texts, ["priority 100 -> 90"]);
}

#[test]
fn what_many_servers_have_in_common_is_told_once() {
    let it = settings("", "a");
    let all: usize = it.objects.iter().map(|(_, numbers)| numbers.len()).sum();
    assert!(it.pairs.len() + 10 < all, "{} of {all}", it.pairs.len());
}
