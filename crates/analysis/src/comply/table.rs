//! The controls: Security Hub's of groups and what is around them, and Alibaba Cloud Config's of groups (`spec/ec2.md` C, `spec/ecs.md` F).

use super::{
    ComplyError,
    control::{Control, Judge, Parameter, Service, Severity},
    groups, network,
    parameters::Kind,
};

/// The editions of the CIS AWS Foundations Benchmark, in the order of the numbers of a control.
pub(super) const EDITIONS: [&str; 9] = ["1.2", "1.4", "1.5", "2.0", "3.0", "4.0", "5.0", "6.0", "7.0"];

const NOT_IN_CIS: [&str; 9] = [""; 9];
/// Administration from everywhere over IPv4. Only the first edition has a number for each of the two ports.
const CIS_ADMIN_V4: [&str; 9] = ["", "5.2", "5.2", "5.2", "5.2", "5.3", "5.3", "6.3", "6.3"];

const RESTRICT: &str = "change the source of the rule to your own address, a range or another security group, or delete the rule: \
                        `sekimori comply fix FINDING --to-address`, `--restrict-to RANGE|GROUP` or `--delete`";
const FEWER_PORTS: &str = "replace the rule by rules for the ports that are needed: `sekimori comply fix FINDING --delete`, then `sekimori \
                           diagnose ENI --source ADDRESS --port PORT --open`; or restrict its source";

const NO_PARAMETERS: &[Parameter] = &[];

const fn hub(id: &'static str, title: &'static str, severity: Severity, rule: &'static str, judge: Judge) -> Control {
    Control {
        id,
        title,
        severity,
        service: Service::SecurityHub,
        config_rule: rule,
        cis: NOT_IN_CIS,
        is_best_practice: true,
        parameters: NO_PARAMETERS,
        remediation: RESTRICT,
        judge,
    }
}

/// A rule of Alibaba Cloud Config; all but one have a high risk.
const fn config(id: &'static str, title: &'static str, is_best_practice: bool, judge: Judge) -> Control {
    Control {
        id,
        title,
        severity: Severity::High,
        service: Service::CloudConfig,
        config_rule: id,
        cis: NOT_IN_CIS,
        is_best_practice,
        parameters: NO_PARAMETERS,
        remediation: RESTRICT,
        judge,
    }
}

static CONTROLS: [Control; 20] = [
    Control {
        cis: ["4.3", "5.3", "5.4", "5.4", "5.4", "5.5", "5.5", "6.5", "6.5"],
        remediation: "put the interfaces into groups of their own, then delete the rules of the default group: `sekimori comply fix \
                      FINDING --delete`",
        ..hub(
            "EC2.2",
            "VPC default security groups should not allow inbound or outbound traffic",
            Severity::High,
            "vpc-default-security-group-closed",
            Judge::Group(groups::default_closed),
        )
    },
    Control {
        cis: ["2.9", "3.9", "3.9", "3.9", "3.7", "3.7", "3.7", "4.7", "4.7"],
        remediation: "make a flow log of the VPC's refused traffic: `aws ec2 create-flow-logs --resource-type VPC --traffic-type REJECT \
                      --log-destination-type s3 --log-destination arn:aws:s3:::BUCKET --resource-ids VPC`, with the finding's VPC and a \
                      bucket of yours",
        ..hub(
            "EC2.6",
            "VPC flow logging should be enabled in all VPCs",
            Severity::Medium,
            "vpc-flow-logs-enabled",
            Judge::Vpc(network::flow_logs),
        )
    },
    Control {
        cis: ["4.1", "", "", "", "", "", "", "", ""],
        ..hub(
            "EC2.13",
            "Security groups should not allow ingress from 0.0.0.0/0 or ::/0 to port 22",
            Severity::High,
            "restricted-ssh",
            Judge::Group(groups::ssh),
        )
    },
    Control {
        cis: ["4.2", "", "", "", "", "", "", "", ""],
        ..hub(
            "EC2.14",
            "Security groups should not allow ingress from 0.0.0.0/0 or ::/0 to port 3389",
            Severity::High,
            "restricted-common-ports",
            Judge::Group(groups::rdp),
        )
    },
    Control {
        parameters: &[
            Parameter { name: "authorizedTcpPorts", kind: Kind::Ports, default: Some("80,443") },
            Parameter { name: "authorizedUdpPorts", kind: Kind::Ports, default: Some("") },
        ],
        ..hub(
            "EC2.18",
            "Security groups should only allow unrestricted incoming traffic for authorized ports",
            Severity::High,
            "vpc-sg-open-only-to-authorized-ports",
            Judge::Group(groups::authorized_ports),
        )
    },
    hub(
        "EC2.19",
        "Security groups should not allow unrestricted access to ports with high risk",
        Severity::Critical,
        "vpc-sg-restricted-common-ports",
        Judge::Group(groups::high_risk),
    ),
    Control {
        cis: ["", "5.1", "5.1", "5.1", "5.1", "5.2", "5.2", "6.2", "6.2"],
        remediation: "restrict or delete the entry, or deny the ports by an entry with a lower number: `sekimori comply fix FINDING \
                      --to-address`, `--restrict-to RANGE` or `--delete`",
        ..hub(
            "EC2.21",
            "Network ACLs should not allow ingress from 0.0.0.0/0 to port 22 or port 3389",
            Severity::Medium,
            "nacl-no-unrestricted-ssh-rdp",
            Judge::NetworkAcl(network::acl_admin_ports),
        )
    },
    Control {
        remediation: "attach it to a network interface or delete it: `sekimori comply fix FINDING --delete`",
        ..hub(
            "EC2.22",
            "Unused Amazon EC2 security groups should be removed",
            Severity::Medium,
            "ec2-security-group-attached-to-eni-periodic",
            Judge::Group(groups::in_use),
        )
    },
    Control {
        cis: CIS_ADMIN_V4,
        ..hub(
            "EC2.53",
            "EC2 security groups should not allow ingress from 0.0.0.0/0 to remote server administration ports",
            Severity::High,
            "vpc-sg-port-restriction-check",
            Judge::Group(groups::admin_v4),
        )
    },
    Control {
        cis: ["", "", "5.3", "5.3", "5.3", "5.4", "5.4", "6.4", "6.4"],
        ..hub(
            "EC2.54",
            "EC2 security groups should not allow ingress from ::/0 to remote server administration ports",
            Severity::High,
            "vpc-sg-port-restriction-check",
            Judge::Group(groups::admin_v6),
        )
    },
    config(
        "sg-public-access-check",
        "A security group does not let everyone in on all ports",
        true,
        Judge::Group(groups::public_access),
    ),
    Control {
        parameters: &[Parameter {
            name: "ports",
            kind: Kind::Ports,
            default: Some("22,23,3389,3306,1433,5432,27017,6379"),
        }],
        ..config(
            "sg-risky-ports-check",
            "A security group does not open risky ports to everyone",
            false,
            Judge::Group(groups::risky_ports),
        )
    },
    Control {
        parameters: &[
            Parameter { name: "ports", kind: Kind::Ports, default: Some("22,3389") },
            Parameter { name: "protocol", kind: Kind::Protocols, default: Some("tcp,udp") },
        ],
        ..config(
            "ecs-security-group-risky-ports-check-with-protocol",
            "A security group does not open risky ports of a protocol to everyone",
            true,
            Judge::Group(groups::risky_ports_with_protocol),
        )
    },
    Control {
        parameters: &[Parameter { name: "ports", kind: Kind::Ports, default: Some("80") }],
        ..config(
            "ecs-security-group-white-list-port-check",
            "A security group opens only listed ports to everyone",
            true,
            Judge::Group(groups::white_list),
        )
    },
    Control {
        remediation: FEWER_PORTS,
        ..config(
            "ecs-security-group-not-open-all-port",
            "No inbound rule of a security group opens all ports",
            true,
            Judge::Group(groups::all_ports),
        )
    },
    Control {
        remediation: FEWER_PORTS,
        ..config(
            "ecs-security-group-not-open-all-protocol",
            "No inbound rule of a security group opens all protocols",
            true,
            Judge::Group(groups::all_protocols),
        )
    },
    config(
        "ecs-security-group-not-internet-cidr-access",
        "A security group lets in private addresses only",
        true,
        Judge::Group(groups::no_internet),
    ),
    Control {
        remediation: "replace the outbound rule by rules for what is needed, or, in a basic group without one, add a rule of priority 100 \
                      that denies everything and rules before it for what is needed",
        ..config(
            "ecs-security-group-egress-not-all-access",
            "A security group does not let everything out",
            true,
            Judge::Group(groups::egress),
        )
    },
    Control {
        parameters: &[Parameter { name: "securityGroupIds", kind: Kind::Groups, default: None }],
        remediation: "attach one of the groups: `aliyun ecs JoinSecurityGroup --SecurityGroupId GROUP --InstanceId INSTANCE`",
        ..config(
            "ecs-instance-attached-security-group",
            "An instance carries one of the listed security groups",
            true,
            Judge::Instance(network::attached_groups),
        )
    },
    Control {
        severity: Severity::Low,
        remediation: "make an enterprise group with the rules that are needed and move the instances to it: a group keeps its type",
        ..config(
            "ecs-security-group-type-not-normal",
            "A security group is an enterprise one",
            false,
            Judge::Group(groups::not_basic),
        )
    },
];

/// The standards that there are.
#[must_use]
pub fn standards() -> Vec<String> {
    let cis = EDITIONS.iter().map(|edition| format!("cis-aws-{edition}"));
    let clouds = ["security-hub", "cloud-config", "cloud-config-best-practices"].map(str::to_owned);
    clouds.into_iter().chain(cis).collect()
}

/// The edition of the CIS AWS Foundations Benchmark that a standard is, if it is one.
pub(super) fn edition_of(standard: &str) -> Option<&str> {
    standard.strip_prefix("cis-aws-")
}

/// Whether a control is in a standard; nothing when there is no such standard.
fn is_in(control: &Control, standard: &str) -> Option<bool> {
    if let Some(edition) = edition_of(standard) {
        let place = EDITIONS.iter().position(|known| *known == edition)?;
        return Some(control.cis.get(place).is_some_and(|number| !number.is_empty()));
    }
    match standard {
        "security-hub" => Some(control.service == Service::SecurityHub),
        "cloud-config" => Some(control.service == Service::CloudConfig),
        "cloud-config-best-practices" => Some(control.service == Service::CloudConfig && control.is_best_practice),
        _ => None,
    }
}

/// The controls that are in one of the standards and among the rules; of nothing, all.
pub(super) fn chosen(named: &[String], rules: &[String]) -> Result<Vec<&'static Control>, ComplyError> {
    let known = standards();
    if let Some(name) = named.iter().find(|name| !known.contains(name)) {
        return Err(ComplyError::Standard { name: name.clone(), known: known.join(", ") });
    }
    let is_called = |control: &Control, rule: &String| control.id.eq_ignore_ascii_case(rule);
    if let Some(name) = rules.iter().find(|rule| !CONTROLS.iter().any(|control| is_called(control, rule))) {
        let known = CONTROLS.iter().map(|control| control.id).collect::<Vec<_>>().join(", ");
        return Err(ComplyError::Control { name: name.clone(), known });
    }
    let is_chosen = |control: &&Control| {
        let by_standard = named.is_empty() || named.iter().any(|name| is_in(control, name) == Some(true));
        by_standard && (rules.is_empty() || rules.iter().any(|rule| is_called(control, rule)))
    };
    let chosen: Vec<&'static Control> = CONTROLS.iter().filter(is_chosen).collect();
    if chosen.is_empty() { Err(ComplyError::Nothing) } else { Ok(chosen) }
}

/// A control by its id.
pub(super) fn find(id: &str) -> Option<&'static Control> {
    CONTROLS.iter().find(|control| control.id == id)
}
