//! A schema's places as one tree: what to do with each value on the way to a field. Each pointer has one slot, however
//! many fields are read from it.

use std::sync::Arc;

use super::{
    field::Field,
    place::Place,
    pointer::{Pointer, index},
    schema::Schema,
};

/// A schema, prepared for reading.
#[derive(Debug)]
pub(super) struct Layout {
    /// The record itself.
    pub(super) root: Target,
    /// For each of [`Field::ALL`], its places with slots for pointers.
    pub(super) places: [Vec<Place<usize>>; 6],
    /// The slot of the version that a CloudEvent must name.
    pub(super) spec_version: Option<usize>,
    /// The pointer of each slot.
    pub(super) pointers: Vec<String>,
}

/// What to do with a value.
#[derive(Debug)]
pub(super) enum Target {
    /// Keep it, in this slot.
    Value(usize),
    /// Keep it unparsed, in this slot: nothing in it refuses the record.
    Json(usize),
    /// Look into it.
    Node(Node),
    /// A text that is JSON in base64: read that into this.
    Base64(Box<Target>),
}

/// An object or array on the way to a field, or a text that is one.
#[derive(Debug)]
pub(super) struct Node {
    /// Its own JSON pointer; empty for the record itself.
    pub(super) pointer: Arc<str>,
    /// The slots filled from values within.
    pub(super) slots: Vec<usize>,
    /// The slot of the value itself, for records in which it is neither object nor array.
    pub(super) value: Option<usize>,
    /// So few that comparing is faster than hashing.
    members: Vec<(String, Target)>,
    /// The elements to look at, ascending, each with its place in `members`.
    elements: Vec<(usize, usize)>,
}

impl Layout {
    /// The layout of all that `schema` reads.
    pub(super) fn of(schema: &Schema) -> Self {
        let mut pointers: Vec<&Pointer> = Vec::new();
        let places = Field::ALL.map(|field| {
            let places = schema.places[field as usize].0.iter();
            places.map(|place| with_slots(place, &mut pointers)).collect::<Vec<_>>()
        });
        let spec_version = schema.spec_version.as_ref().map(|pointer| slot(pointer, &mut pointers));
        let traces = &places[Field::TraceParent as usize];
        let is_trace = |slot: usize| traces.contains(&Place::Pointer(slot));
        let keys: Vec<_> = pointers.iter().map(|pointer| pointer.keys.as_slice()).enumerate().collect();
        let mut root = Node::new("", &keys, &is_trace);
        if spec_version.is_some() {
            root.read_binary_data(&keys, &is_trace);
        }
        let root = Target::Node(root);
        let pointers = pointers.into_iter().map(|pointer| pointer.text.clone()).collect();
        Self { root, places, spec_version, pointers }
    }

    /// The places of `field`.
    pub(super) fn places(&self, field: Field) -> &[Place<usize>] {
        &self.places[field as usize]
    }
}

fn slot<'s>(pointer: &'s Pointer, slots: &mut Vec<&'s Pointer>) -> usize {
    slots.iter().position(|known| known.keys == pointer.keys).unwrap_or_else(|| {
        slots.push(pointer);
        slots.len() - 1
    })
}

fn with_slots<'s>(place: &'s Place<Pointer>, slots: &mut Vec<&'s Pointer>) -> Place<usize> {
    match place {
        Place::Pointer(pointer) => Place::Pointer(slot(pointer, slots)),
        Place::Joined(all) => Place::Joined(all.iter().map(|pointer| slot(pointer, slots)).collect()),
        Place::DateTime { date, time } => {
            Place::DateTime { date: slot(date, slots), time: slot(time, slots) }
        }
        Place::Header(name) => Place::Header(name.clone()),
        Place::Digest => Place::Digest,
        Place::Reading => Place::Reading,
    }
}

impl Node {
    fn new(pointer: &str, paths: &[(usize, &[String])], is_trace: &impl Fn(usize) -> bool) -> Self {
        let mut members: Vec<(String, Target)> = Vec::new();
        for (_, keys) in paths {
            let [key, ..] = keys else { continue };
            if members.iter().any(|(known, _)| known == key) {
                continue;
            }
            let inside: Vec<_> = paths
                .iter()
                .filter(|(_, keys)| keys.first() == Some(key))
                .map(|(slot, keys)| (*slot, &keys[1..]))
                .collect();
            let target = match inside[..] {
                [(slot, [])] if is_trace(slot) => Target::Json(slot),
                [(slot, [])] => Target::Value(slot),
                _ => Target::Node(Self::new(&format!("{pointer}/{}", escape(key)), &inside, is_trace)),
            };
            members.push((key.clone(), target));
        }
        let elements = members.iter().enumerate().filter_map(|(at, (key, _))| Some((index(key)?, at)));
        let mut elements: Vec<_> = elements.collect();
        elements.sort_unstable();
        let (own, within): (Vec<_>, Vec<_>) = paths.iter().partition(|(_, keys)| keys.is_empty());
        Self {
            pointer: pointer.into(),
            slots: within.into_iter().map(|(slot, _)| slot).collect(),
            value: own.first().map(|(slot, _)| *slot),
            members,
            elements,
        }
    }

    /// Reads what is looked for in `data` from `data_base64` too: an event has one of them (CloudEvents JSON event format,
    /// section 3.1.1).
    fn read_binary_data(&mut self, paths: &[(usize, &[String])], is_trace: &impl Fn(usize) -> bool) {
        let inside: Vec<_> = paths
            .iter()
            .filter_map(|(slot, keys)| {
                keys.split_first().filter(|(key, _)| *key == "data").map(|(_, keys)| (*slot, keys))
            })
            .collect();
        if inside.iter().any(|(_, keys)| !keys.is_empty()) && self.member("data_base64").is_none() {
            let data = Box::new(Target::Node(Self::new("/data", &inside, is_trace)));
            self.members.push(("data_base64".to_owned(), Target::Base64(data)));
        }
    }

    /// What the member `key` is, if anything is read from it.
    pub(super) fn member(&self, key: &str) -> Option<&Target> {
        self.members.iter().find(|(known, _)| known == key).map(|(_, target)| target)
    }

    /// The elements from which something is read, if it is an array.
    pub(super) fn elements(&self) -> impl Iterator<Item = (usize, &Target)> {
        self.elements.iter().filter_map(|&(index, at)| Some((index, &self.members.get(at)?.1)))
    }

    /// Whether it may be an array.
    pub(super) fn has_elements(&self) -> bool {
        !self.elements.is_empty()
    }
}

impl Target {
    /// All slots that are filled from it.
    pub(super) fn each_slot(&self, with: &mut dyn FnMut(usize)) {
        match self {
            Self::Value(slot) | Self::Json(slot) => with(*slot),
            Self::Base64(target) => target.each_slot(with),
            Self::Node(node) => node.value.iter().chain(&node.slots).for_each(|slot| with(*slot)),
        }
    }
}

/// RFC 6901, section 4.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(schema: &Schema) -> Node {
        match Layout::of(schema).root {
            Target::Node(node) => node,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn fields_with_a_common_parent_are_found_in_one_object() {
        let layout = Layout::of(&Schema::cloudevents());
        let root = root(&Schema::cloudevents());
        let Some(Target::Node(data)) = root.member("data") else { panic!("no object") };
        assert_eq!(&*data.pointer, "/data");
        let inside: Vec<_> = data.slots.iter().map(|slot| &*layout.pointers[*slot]).collect();
        assert_eq!(inside, ["/data/loadId", "/data/status", "/data/sequence"]);
        assert!(matches!(root.member("specversion"), Some(Target::Value(_))));
        assert!(matches!(root.member("traceparent"), Some(Target::Json(_))));
        assert!(root.member("loadId").is_none());
    }

    #[test]
    fn a_nodes_pointer_is_escaped() {
        let root = root(&Schema::flat().with_all([(Field::LoadId, "/a~1b/~0/id")]).unwrap());
        let Some(Target::Node(outer)) = root.member("a/b") else { panic!("no object") };
        let Some(Target::Node(inner)) = outer.member("~") else { panic!("no object") };
        assert_eq!(&*inner.pointer, "/a~1b/~0");
    }

    #[test]
    fn a_pointer_that_is_read_twice_has_one_slot_and_a_value_may_be_looked_into_as_well() {
        let places = vec![
            Place::Joined(vec!["/loadId", "/stops/1/at"]),
            Place::Pointer("/stops"),
            Place::Pointer("/stops/0/at"),
        ];
        let schema = Schema::flat().with_places([(Field::EventId, places)]).unwrap();
        let (layout, root) = (Layout::of(&schema), root(&schema));
        let loads = layout.pointers.iter().filter(|pointer| *pointer == "/loadId").count();
        assert_eq!(loads, 1);
        let Some(Target::Node(stops)) = root.member("stops") else { panic!("no node") };
        assert!(stops.value.is_some() && stops.has_elements());
        assert_eq!(stops.elements().map(|(index, _)| index).collect::<Vec<_>>(), [0, 1]);
    }
}
