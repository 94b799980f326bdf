//! The kernel's settings inside a namespace, by what the namespace is for.
//!
//! `/proc/sys/net` shows the namespace of the thread that opens it, so [`set`] must run inside.

use std::{fs, io, path::Path};

/// A file under `/proc/sys/net`, and what it is to hold.
type Sysctl = (&'static str, &'static str);

/// An instance, or the outside: a plain host. IPv6 addresses work at once (no duplicate detection) and come
/// from the control plane only (no autoconfiguration).
pub const HOST: &[Sysctl] = &[
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/promote_secondaries", "1"),
    ("ipv4/conf/default/promote_secondaries", "1"),
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/dad_transmits", "0"),
    ("ipv6/conf/all/accept_ra", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/autoconf", "0"),
];

/// A VPC's router: forwards, never redirects (two interfaces of a subnet reach each other through it), and
/// makes no IPv6 address of its own.
pub const ROUTER: &[Sysctl] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/conf/default/forwarding", "1"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/dad_transmits", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/autoconf", "0"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
];

/// Whether the kernel has IPv6.
#[must_use]
pub fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").is_dir()
}

/// Makes the settings in the namespace of the calling thread. Without IPv6 in the kernel its part is left out.
///
/// # Errors
/// Names the setting that cannot be made.
pub fn set(sysctls: &[Sysctl]) -> io::Result<()> {
    let root = Path::new("/proc/sys/net");
    let has_ipv6 = has_ipv6();
    for (name, value) in sysctls.iter().filter(|(name, _)| has_ipv6 || !name.starts_with("ipv6/")) {
        fs::write(root.join(name), value)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot write {value} to net/{name}: {error}")))?;
    }
    Ok(())
}
