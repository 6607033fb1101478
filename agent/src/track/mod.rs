//! Stub.
use crate::model::{Job, JobOutcome, Tracking, VrrpScript};
use lb_shared::event::What;
use lb_shared::names::TrackerName;
use lb_shared::state::{Term, TrackerView};
use lb_shared::units::Mono;
use std::collections::BTreeMap;
use std::sync::Arc;
#[derive(Debug, Default)]
pub struct Trackers;
pub struct Sum {
    pub terms: Vec<Term>,
    pub waiting: bool,
    pub faults: Vec<String>,
}
pub enum Effect {
    Run {
        script: String,
        job: Job,
    },
    Changed {
        tracker: TrackerName,
        what: What,
        text: String,
        why: Option<String>,
    },
}
impl Trackers {
    pub fn new() -> Self {
        Self
    }
    pub fn apply(&mut self, _: Mono, _: &BTreeMap<String, Arc<VrrpScript>>, _: &mut Vec<Effect>) {}
    pub fn on_ran(&mut self, _: Mono, _: &str, _: &JobOutcome, _: &mut Vec<Effect>) {}
    pub fn on_interface(&mut self, _: Mono, _: &str, _: Option<bool>, _: &mut Vec<Effect>) {}
    pub fn on_tick(&mut self, _: Mono, _: &mut Vec<Effect>) {}
    pub fn deadline(&self) -> Option<Mono> {
        None
    }
    pub fn terms(&self, _: &[&Tracking], _: bool) -> Sum {
        Sum {
            terms: vec![],
            waiting: false,
            faults: vec![],
        }
    }
    pub fn view(&self, _: &TrackerName) -> Option<TrackerView> {
        None
    }
}
