//! Binding an ENI to an interface that this program did not make, and letting it go.

use serde::{Deserialize, Serialize};

use crate::{address::Mac, binding::Binding, ids::EniId};

/// What an operator, a hypervisor's hook or a container runtime asks for. Of an ENI of any account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BindingCommand {
    /// Enforces an ENI at an interface.
    Bind {
        /// The ENI.
        eni: EniId,
        /// The interface.
        binding: Binding,
        /// The Ethernet address that the workload sends from; it becomes the ENI's. `None`: the workload has the ENI's.
        mac: Option<Mac>,
        /// Whether the ENI may be bound elsewhere, and is taken from there.
        is_moved: bool,
    },
    /// Lets it go.
    Unbind {
        /// The ENI.
        eni: EniId,
        /// Only if this is the holder. `None`: whoever it is.
        holder: Option<String>,
    },
}
