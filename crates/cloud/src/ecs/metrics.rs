//! How the cloud calls what a diagnosis looks at. Its pages name the shape of these ids and none about groups, so the
//! names are ours in that shape.

use sekimori_core::diagnosis::{Metric, Severity};

/// The metrics that a diagnosis without a choice has: all of them.
pub(super) const METRIC_SET: &str = "dms-instancedefault";
/// What every metric is about.
pub(super) const CATEGORY: &str = "Network";
/// What can be diagnosed.
pub(super) const RESOURCE_TYPE: &str = "instance";

/// A metric in the cloud's words.
pub(super) struct Names {
    pub(super) id: &'static str,
    pub(super) issue: &'static str,
    pub(super) name: &'static str,
    pub(super) description: &'static str,
}

/// The names of a metric.
pub(super) fn names(metric: Metric) -> Names {
    match metric {
        Metric::CommonPorts => Names {
            id: "SecurityGroup.CommonPorts",
            issue: "SecurityGroup.CommonPorts.Closed",
            name: "Common ports",
            description: "Whether ping and TCP ports 80, 443, 22, 3389 and 8080 are open to anybody.",
        },
        Metric::ManagementPorts => Names {
            id: "SecurityGroup.ManagementPorts",
            issue: "SecurityGroup.ManagementPorts.Exposed",
            name: "Management ports",
            description: "Whether TCP ports 22 and 3389 are open to the world.",
        },
        Metric::Outbound => Names {
            id: "SecurityGroup.Outbound",
            issue: "SecurityGroup.Outbound.Blocked",
            name: "Outbound access",
            description: "Whether name service and the web can be reached at all.",
        },
        Metric::IdleRules => Names {
            id: "SecurityGroup.IdleRules",
            issue: "SecurityGroup.IdleRules.Found",
            name: "Rules without effect",
            description: "Whether there are rules that decide nothing, or change nothing.",
        },
        Metric::GroupEffects => Names {
            id: "SecurityGroup.GroupEffects",
            issue: "SecurityGroup.GroupEffects.Found",
            name: "Several groups of one interface",
            description: "What the groups of an interface do to each other.",
        },
    }
}

/// A severity in the cloud's words.
pub(super) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Unknown => "Unknown",
        Severity::Normal => "Normal",
        Severity::Info => "Info",
        Severity::Warn => "Warn",
    }
}
