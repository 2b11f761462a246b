//! A schema's pointers as one tree: what to do with each member of an object on the way to a field.
//!
//! Guaranteed by the schema: no pointer ends inside another, so a member is a value to keep or an object to enter,
//! never both.

use crate::schema::{Field, Pointer, Schema};

/// How many values are kept from one record: the fields, and the version a CloudEvent must name.
pub(super) const SLOTS: usize = Field::ALL.len() + 1;

/// The slot of the version; the others are the fields' own numbers.
pub(super) const SPEC_VERSION: usize = Field::ALL.len();

/// The slot of the event's place in a trace.
pub(super) const TRACE_PARENT: usize = Field::TraceParent as usize;

/// What a member is to the reader.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// A value to keep, in this slot.
    Value(usize),
    /// An object with such values further in.
    Object(Node),
}

/// An object on the way to a field.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its own JSON pointer; empty for the record itself.
    pub(super) pointer: String,
    /// The slots filled from it or from objects within.
    pub(super) slots: Vec<usize>,
    /// Few enough that comparing in turn beats hashing.
    members: Vec<(String, Target)>,
}

impl Node {
    /// The tree of all that `schema` reads.
    pub(super) fn root(schema: &Schema) -> Self {
        let all = schema.pointers.iter().chain(&schema.spec_version);
        let keys: Vec<_> = all.enumerate().map(|(slot, pointer)| (slot, pointer.keys.as_slice())).collect();
        Self::new(String::new(), &keys)
    }

    fn new(pointer: String, paths: &[(usize, &[String])]) -> Self {
        let mut members: Vec<(String, Target)> = Vec::new();
        for (slot, keys) in paths {
            let [key, rest @ ..] = keys else { continue };
            if members.iter().any(|(known, _)| known == key) {
                continue;
            }
            let target = if rest.is_empty() {
                Target::Value(*slot)
            } else {
                let inside: Vec<_> = paths
                    .iter()
                    .filter(|(_, keys)| keys.first() == Some(key))
                    .map(|(slot, keys)| (*slot, &keys[1..]))
                    .collect();
                Target::Object(Self::new(format!("{pointer}/{}", escape(key)), &inside))
            };
            members.push((key.clone(), target));
        }
        Self { pointer, slots: paths.iter().map(|(slot, _)| *slot).collect(), members }
    }

    /// What the member `key` is, if anything is read from it.
    pub(super) fn member(&self, key: &str) -> Option<&Target> {
        self.members.iter().find(|(known, _)| known == key).map(|(_, target)| target)
    }
}

impl Target {
    /// The slots filled from it.
    pub(super) fn slots(&self) -> &[usize] {
        match self {
            Self::Value(slot) => std::slice::from_ref(slot),
            Self::Object(node) => &node.slots,
        }
    }
}

/// RFC 6901, section 4.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The pointer whose value fills `slot`.
pub(super) fn pointer(schema: &Schema, slot: usize) -> &str {
    schema.pointers.iter().chain(&schema.spec_version).nth(slot).map_or("", |pointer: &Pointer| &pointer.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_a_common_parent_are_found_in_one_object() {
        let root = Node::root(&Schema::cloudevents());
        let Some(Target::Object(data)) = root.member("data") else { panic!("no object") };
        assert_eq!(data.pointer, "/data");
        assert_eq!(data.slots, [1, 2, 4]);
        assert!(matches!(data.member("sequence"), Some(Target::Value(4))));
        assert!(matches!(root.member("specversion"), Some(Target::Value(SPEC_VERSION))));
        assert!(root.member("loadId").is_none());
    }

    #[test]
    fn an_objects_pointer_is_escaped() {
        let schema = Schema::flat().with_all([(Field::LoadId, "/a~1b/~0/id")]).unwrap();
        let root = Node::root(&schema);
        let Some(Target::Object(outer)) = root.member("a/b") else { panic!("no object") };
        let Some(Target::Object(inner)) = outer.member("~") else { panic!("no object") };
        assert_eq!(inner.pointer, "/a~1b/~0");
    }
}
