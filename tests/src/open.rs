//! Worlds whose groups let everything pass, so that only network ACLs drop.

use std::sync::Arc;

use sekimori_core::{
    change::Change,
    rule::{Action, Direction, Peer, Protocol, Rule, RuleSpec, Service},
    time::Timestamp,
    world::{Group, World},
};

/// Lets every group allow everything, and nothing else.
pub fn open_groups(world: &mut World) {
    let groups: Vec<Arc<Group>> = world.groups().cloned().collect();
    for group in groups {
        for rule in group.rules.values() {
            world.apply(&Change::DeleteRule { group: group.id.clone(), rule: rule.id.clone() });
        }
        for direction in [Direction::Ingress, Direction::Egress] {
            for block in ["0.0.0.0/0", "::/0"].iter().filter_map(|block| block.parse().ok()) {
                let rule = Rule {
                    id: format!("sgr-open-{direction:?}-{block}").into(),
                    spec: RuleSpec::plain(direction, Action::Allow, (Protocol::Any, Service::Any), Peer::Cidr(block)),
                    description: String::new(),
                    tags: Default::default(),
                    created_at: Timestamp(0),
                };
                world.apply(&Change::PutRule { group: group.id.clone(), rule: Arc::new(rule) });
            }
        }
    }
}
