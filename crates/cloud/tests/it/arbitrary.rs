//! Whatever parameters are sent, every operation answers in well-formed JSON and XML, and nothing panics.

use crate::estate::Estate;
use proptest::{prelude::*, sample::select};
use sekimori_cloud::ecs::catalog::{Entry, OPERATIONS};

/// Texts on the edge of what a parameter may be.
const VALUES: [&str; 32] = [
    "",
    "0",
    "1",
    "-1",
    "50",
    "256",
    "99999999999999999999",
    "true",
    "drop",
    "enterprise",
    "tcp",
    "icmpv6",
    "all",
    "-1/-1",
    "22/22",
    "65535/1",
    "0.0.0.0/0",
    "10.1.0.9",
    "10.2.0.0/24",
    "::/0",
    "2001:db8:1:100::/56",
    "$1",
    "$4",
    "$5",
    "$6",
    "[\"$5\"]",
    "[[]]",
    "%00%01%ff",
    "%E6%9D%B1%E4%BA%AC",
    "*a*",
    "cn-hangzhou-b",
    "cn-beijing",
];

/// An operation, and values for some of its own parameters: name, item number, value.
type Sent = (&'static Entry, Vec<(&'static str, u32, &'static str)>);

fn sent() -> impl Strategy<Value = Sent> {
    (0..OPERATIONS.len()).prop_flat_map(|place| {
        let entry = &OPERATIONS[place];
        let names: Vec<&'static str> = entry.parameters.iter().map(|parameter| parameter.name).collect();
        let one = (select(names), 1..3_u32, select(&VALUES[..]));
        (Just(entry), proptest::collection::vec(one, 0..12))
    })
}

/// The call as a query, whose required parameters are there unless they were chosen otherwise.
fn query((entry, parameters): &Sent, format: &str) -> String {
    let version = entry.versions[0].date();
    let mut query = format!("{}&Version={version}&Format={format}", entry.name);
    let mut names: Vec<String> = Vec::new();
    let usual = [
        ("VpcId", "$1"),
        ("VSwitchId", "$4"),
        ("SecurityGroupId", "$5"),
        ("IpProtocol", "tcp"),
        ("PortRange", "1/2"),
    ];
    let usual = usual.into_iter().filter(|(name, _)| entry.accepts(name)).map(|(name, value)| (name, 0, value));
    for (name, number, value) in parameters.iter().copied().chain(usual) {
        let number = number.to_string();
        let parts: Vec<&str> = name.split('.').map(|part| if part == "N" { &number } else { part }).collect();
        let name = parts.join(".");
        if entry.accepts(&name) && !names.contains(&name) {
            query.push_str(&format!("&{name}={value}"));
            names.push(name);
        }
    }
    query
}

fn is_well_formed_xml(text: &str) -> bool {
    let mut reader = quick_xml::Reader::from_str(text);
    loop {
        match reader.read_event() {
            Ok(quick_xml::events::Event::Eof) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_call_is_answered(calls in proptest::collection::vec(sent(), 1..6)) {
        let mut estate = Estate::furnished();
        for call in &calls {
            let json = estate.call(&query(call, "json"));
            let is_failure = json.split(' ').next().is_some_and(|status| ["400", "403", "404"].contains(&status));
            prop_assert!(is_failure || json.starts_with('{'), "{json}");
            let xml = estate.call(&query(call, "xml"));
            prop_assert!(is_well_formed_xml(&xml), "{xml}");
        }
    }
}
