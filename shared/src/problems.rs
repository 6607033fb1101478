//! What is wrong, worst first, and how many of everything there are: the head of every status.

use crate::names::ServerId;
use crate::state::{Admin, InstanceView, ObjectId, ServerView, ServiceState, ServiceView, State, VrrpState};
use crate::text::{escape, span, thousands};
use crate::units::Mono;
use crate::view::View;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// One character before the word, for those who see no colour.
    pub mark: char,
    /// The state in one word, as in tables.
    pub state: &'static str,
    pub object: ObjectId,
    /// The object's name for eyes.
    pub name: String,
    pub since: Option<Mono>,
    pub text: String,
    /// The same machine in other services; listed once.
    pub also: Vec<ServerId>,
}

/// The mark of an instance.
pub fn instance_mark(view: &InstanceView) -> char {
    match view.state {
        VrrpState::Master if view.second_master => '!',
        VrrpState::Master => '#',
        VrrpState::Backup => '-',
        VrrpState::Fault => '!',
        VrrpState::Init => '?',
    }
}

/// The word of an instance: MASTER2 when another master is heard.
pub fn instance_word(view: &InstanceView) -> &'static str {
    match view.state {
        VrrpState::Master if view.second_master => "MASTER2",
        state => state.word(),
    }
}

/// The mark of a service.
pub fn service_mark(state: ServiceState) -> char {
    match state {
        ServiceState::Up => '+',
        ServiceState::Sorry => '*',
        ServiceState::Down => '!',
        ServiceState::Init => '?',
    }
}

/// The mark of a server, by its word.
pub fn server_mark(view: &ServerView) -> char {
    match view.word() {
        "OFF" => '-',
        "DRAINED" => '=',
        "DOWN" => '!',
        "DRAIN" => '~',
        "INIT" => '?',
        _ => '+',
    }
}

/// `130/150`, `150`, or `-/100` in FAULT.
pub fn priority(view: &InstanceView) -> String {
    match view.state {
        VrrpState::Fault => format!("-/{}", view.base_priority),
        _ if view.effective_priority == view.base_priority => view.base_priority.to_string(),
        _ => format!("{}/{}", view.effective_priority, view.base_priority),
    }
}

/// `0/100`, `100`, or `-/100` outside IPVS.
pub fn weight(view: &ServerView) -> String {
    match view.effective {
        None => format!("-/{}", view.configured),
        Some(effective) if effective == view.configured => effective.to_string(),
        Some(effective) => format!("{effective}/{}", view.configured),
    }
}

/// Why an instance is not what its file says, in few words: `script chk_db -20`, `interface eth2 down`; `-` if it is.
pub fn instance_reason(view: &InstanceView) -> String {
    if view.second_master {
        return "another master is heard".into();
    }
    if view.state == VrrpState::Fault {
        return fault(view);
    }
    let moved: Vec<String> = view
        .terms
        .iter()
        .filter(|term| term.delta != 0)
        .map(|term| format!("{} {:+}", escape(&term.tracker.to_string()), term.delta))
        .collect();
    if moved.is_empty() {
        "-".into()
    } else {
        moved.join(", ")
    }
}

/// The first fault, or what is known instead.
pub fn fault(view: &InstanceView) -> String {
    match view.faults.first() {
        Some(fault) => escape(fault),
        None => escape(&view.why),
    }
}

/// The failed check of a server and what it saw: `SSL_GET /healthz: status 503`.
pub fn server_reason(view: &ServerView) -> String {
    let reason = escape(&view.reason);
    let failed = view.checks.iter().find(|check| check.ok == Some(false));
    let Some(check) = failed else {
        return reason;
    };
    let path = check.target.split_once(' ').map(|(_, path)| path);
    match path {
        Some(path) => format!("{} {}: {reason}", escape(&check.kind), escape(path)),
        None => format!("{}: {reason}", escape(&check.kind)),
    }
}

/// Everything that is wrong, worst first.
pub fn problems(view: &View<'_>) -> Vec<Problem> {
    problems_with(view, view.servers().filter(|it| it.word() == "DOWN"))
}

/// The same for who knows already which servers are DOWN, in the order of [`View::servers`].
pub fn problems_with<'a>(view: &View<'_>, down: impl Iterator<Item = &'a ServerView>) -> Vec<Problem> {
    let state = view.state;
    let mut found = agent_problems(view);
    let instances = || state.instances.values();
    found.extend(
        instances()
            .filter(|it| it.second_master)
            .map(|it| of_instance(it, "two masters are heard; each claims the addresses".into())),
    );
    found.extend(
        instances()
            .filter(|it| it.state == VrrpState::Fault)
            .map(|it| of_instance(it, fault(it))),
    );
    for service in view.services() {
        match service.state {
            ServiceState::Down | ServiceState::Sorry => found.push(of_service(view, service)),
            ServiceState::Up | ServiceState::Init => {}
        }
    }
    found.extend(
        instances()
            .filter(|it| it.state != VrrpState::Fault && it.effective_priority < it.base_priority)
            .map(|it| {
                let text = match &it.pin {
                    Some(_) => format!("priority {}: an operator's demote", priority(it)),
                    None => format!("priority {}: {}", priority(it), instance_reason(it)),
                };
                Problem {
                    mark: '~',
                    ..of_instance(it, text)
                }
            }),
    );
    found.extend(down_servers(view, down));
    found
}

fn agent_problems(view: &View<'_>) -> Vec<Problem> {
    let state = view.state;
    let agent = |word, text: String| Problem {
        mark: '!',
        state: word,
        object: ObjectId::Agent,
        name: "agent".into(),
        since: None,
        text,
        also: Vec::new(),
    };
    let mut found = Vec::new();
    if let Some(missing) = &state.agent.ipvs_missing {
        found.push(agent("IPVS", escape(missing)));
    }
    found.extend(
        state
            .agent
            .kernel_trouble
            .iter()
            .map(|text| agent("KERNEL", escape(text))),
    );
    if let Some(first) = state.agent.config.refused.first() {
        let more = match state.agent.config.refused.len() {
            1 => String::new(),
            all => format!(" (and {} more)", all - 1),
        };
        found.push(agent(
            "CONFIG",
            format!("last reload refused: {}{more}", escape(first)),
        ));
    }
    found.extend(unconfirmed(view).map(|text| agent("CONFIG", text)));
    let restored = state.agent.config.restored.iter();
    found.extend(restored.map(|text| agent("CONFIG", escape(text))));
    found
}

/// That the configuration in force waits to be confirmed, with the time left.
pub fn unconfirmed(view: &View<'_>) -> Option<String> {
    let config = &view.state.agent.config;
    let it = config.unconfirmed.as_ref()?;
    Some(format!(
        "r{} by {} goes in {} and the one before comes back; keep it: lbctl reload --confirmed",
        config.revision,
        escape(&it.actor.user),
        span(Duration::from_micros(it.until.0.saturating_sub(view.now.0)))
    ))
}

fn of_instance(view: &InstanceView, text: String) -> Problem {
    Problem {
        mark: instance_mark(view),
        state: instance_word(view),
        object: ObjectId::Instance(view.name.clone()),
        name: escape(&view.name.0),
        since: Some(view.since),
        text,
        also: Vec::new(),
    }
}

fn of_service(view: &View<'_>, service: &ServiceView) -> Problem {
    let (up, all) = view.up_of(&service.key);
    let text = if service.live_weight > 0 {
        format!(
            "{up} of {all} servers up, weight {} of quorum {}",
            service.live_weight, service.quorum
        )
    } else {
        format!("{up} of {all} servers up")
    };
    Problem {
        mark: '!',
        state: service.state.word(),
        object: ObjectId::Service(service.key.clone()),
        name: view.service_name(&service.key),
        since: Some(service.since),
        text,
        also: Vec::new(),
    }
}

/// DOWN servers of services that still work, each machine once.
fn down_servers<'a>(view: &View<'_>, down: impl Iterator<Item = &'a ServerView>) -> Vec<Problem> {
    let mut found: Vec<Problem> = Vec::new();
    let mut machines: std::collections::BTreeMap<IpAddr, usize> = std::collections::BTreeMap::new();
    let broken: BTreeSet<_> = view
        .state
        .services
        .values()
        .filter(|it| matches!(it.state, ServiceState::Down | ServiceState::Sorry))
        .map(|it| &it.key)
        .collect();
    for server in down {
        if broken.contains(&server.id.service) {
            continue;
        }
        if let Some(at) = machines.get(&server.id.server.address) {
            found[*at].also.push(server.id.clone());
            continue;
        }
        machines.insert(server.id.server.address, found.len());
        found.push(Problem {
            mark: server_mark(server),
            state: server.word(),
            object: ObjectId::Server(server.id.clone()),
            name: view.server_name(&server.id),
            since: Some(server.since),
            text: server_reason(server),
            also: Vec::new(),
        });
    }
    found
}

/// How many objects are in each state, by word, in the order in which they are told.
pub type Tally = Vec<(&'static str, usize)>;

/// The words of services and of servers, in the order in which they are told.
pub(crate) const SERVICE_WORDS: [&str; 4] = ["UP", "SORRY", "DOWN", "INIT"];
pub(crate) const SERVER_WORDS: [&str; 6] = ["UP", "DRAIN", "DRAINED", "OFF", "DOWN", "INIT"];

fn tally<'a>(order: &[&'static str], words: impl Iterator<Item = &'a str>) -> Tally {
    tally_of(order, words.map(|word| (word, 1)))
}

/// The same of words that were counted already.
pub(crate) fn tally_of<'a>(order: &[&'static str], words: impl Iterator<Item = (&'a str, u64)>) -> Tally {
    let mut counts = vec![0; order.len()];
    for (word, count) in words {
        if let Some(at) = order.iter().position(|known| *known == word) {
            counts[at] += count as usize;
        }
    }
    order
        .iter()
        .copied()
        .zip(counts)
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// Instances by state.
pub fn instances(state: &State) -> Tally {
    tally(
        &["MASTER2", "MASTER", "BACKUP", "FAULT", "INIT"],
        state.instances.values().map(|it| instance_word(it)),
    )
}

/// Services by state.
pub fn services(state: &State) -> Tally {
    tally(
        &SERVICE_WORDS,
        state.services.values().map(|view| view.state.word()),
    )
}

/// Servers by word.
pub fn servers(state: &State) -> Tally {
    tally(&SERVER_WORDS, state.servers.values().map(|it| it.word()))
}

/// Servers by word, for who has counted each word.
pub fn server_tally<'a>(words: impl Iterator<Item = (&'a str, u64)>) -> Tally {
    tally_of(&SERVER_WORDS, words)
}

/// `2 MASTER, 1 BACKUP`; `none` of nothing.
pub fn tally_text(tally: &Tally) -> String {
    if tally.is_empty() {
        return "none".into();
    }
    let parts: Vec<String> = tally
        .iter()
        .map(|(word, count)| format!("{} {word}", thousands(*count as u64)))
        .collect();
    parts.join(", ")
}

/// `32+,1~,4!`: how many of each, with the mark of the state.
pub fn marks(tally: &Tally, joint: &str) -> String {
    if tally.is_empty() {
        return "-".into();
    }
    let parts: Vec<String> = tally
        .iter()
        .map(|(word, count)| {
            let mark = match *word {
                "MASTER" => '#',
                "UP" => '+',
                "SORRY" => '*',
                "DRAIN" => '~',
                "DRAINED" => '=',
                "BACKUP" | "OFF" => '-',
                "INIT" => '?',
                _ => '!',
            };
            format!("{count}{mark}")
        })
        .collect();
    parts.join(joint)
}

/// Whether a server is under an operator's hand.
pub fn touched(view: &ServerView) -> bool {
    view.admin != Admin::Enabled
}
