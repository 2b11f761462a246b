//! The profiles that come with Loadline: files of `pipeline/lab/profiles/`, built in.

/// A profile that is built in.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// Its name.
    pub name: &'static str,
    /// Its text: a file people can copy and change.
    pub toml: &'static str,
}

/// All of them, the default one first.
pub const BUILTIN: &[Builtin] = &[
    Builtin { name: "inc-4471", toml: include_str!("../../../profiles/inc-4471.toml") },
    Builtin { name: "inc-4471-kafka", toml: include_str!("../../../profiles/inc-4471-kafka.toml") },
    Builtin { name: "steady", toml: include_str!("../../../profiles/steady.toml") },
    Builtin { name: "spike-10x", toml: include_str!("../../../profiles/spike-10x.toml") },
    Builtin { name: "dead-broker", toml: include_str!("../../../profiles/dead-broker.toml") },
    Builtin { name: "thundering-recovery", toml: include_str!("../../../profiles/thundering-recovery.toml") },
    Builtin { name: "poison", toml: include_str!("../../../profiles/poison.toml") },
    Builtin { name: "hot-load", toml: include_str!("../../../profiles/hot-load.toml") },
    Builtin { name: "backlog-42k", toml: include_str!("../../../profiles/backlog-42k.toml") },
    Builtin { name: "killed", toml: include_str!("../../../profiles/killed.toml") },
];
