//! What a schema takes and what it refuses.

use super::*;

fn only(schema: &Schema, field: Field) -> &Place<Pointer> {
    &schema.places[field as usize].0[0]
}

fn keys(schema: &Schema, field: Field) -> &[String] {
    match only(schema, field) {
        Place::Pointer(pointer) => &pointer.keys,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_field_stands_at_its_own_place_in_the_list_of_all() {
    for (at, field) in Field::ALL.into_iter().enumerate() {
        assert_eq!(field as usize, at);
    }
}

#[test]
fn the_presets_pass_their_own_check() {
    for preset in [Schema::flat(), Schema::cloudevents()] {
        assert_eq!(preset.clone().checked(), Ok(preset));
    }
}

#[test]
fn two_fields_cannot_be_read_from_one_value_or_through_it() {
    for pointer in ["/loadId", "/loadId/number"] {
        let errors = Schema::flat().with_all([(Field::Status, pointer)]).unwrap_err();
        let overlaps =
            |error: &SchemaError| matches!(error, SchemaError::Overlap { other, .. } if other == "/loadId");
        assert!(errors.len() == 1 && overlaps(&errors[0]), "{errors:?}");
    }
    let errors = Schema::cloudevents().with_all([(Field::EventId, "/specversion")]).unwrap_err();
    assert!(matches!(errors[..], [SchemaError::Overlap { .. }]), "{errors:?}");
    // A trace's place is read in its own way, so that it shares with no value at all.
    let joined = vec![Place::Joined(vec!["/traceparent", "/loadId"])];
    let errors = Schema::flat().with_places([(Field::EventId, joined)]).unwrap_err();
    assert!(matches!(errors[..], [SchemaError::Overlap { field: Field::TraceParent, .. }]), "{errors:?}");
}

#[test]
fn values_that_are_joined_or_preferred_may_be_read_by_others_too() {
    let changes = [
        (Field::EventId, vec![Place::Joined(vec!["/loadId", "/status", "/occurredAt"]), Place::Digest]),
        (Field::Status, vec![Place::Pointer("/state/type"), Place::Pointer("/state")]),
        (Field::OccurredAt, vec![Place::DateTime { date: "/date", time: "/time" }, Place::Reading]),
    ];
    assert!(Schema::flat().with_places(changes).is_ok());
}

#[test]
fn a_place_must_suit_its_field() {
    for (field, place) in [
        (Field::LoadId, Place::Digest),
        (Field::LoadId, Place::Header("x".into())),
        (Field::EventId, Place::Header(String::new())),
        (Field::EventId, Place::Reading),
        (Field::EventId, Place::Joined(vec![])),
        (Field::EventId, Place::Joined(vec!["/a"; 9])),
        (Field::Status, Place::DateTime { date: "/a", time: "/b" }),
        (Field::OccurredAt, Place::Joined(vec!["/a"])),
        (Field::Sequence, Place::Digest),
        (Field::TraceParent, Place::Joined(vec!["/a"])),
    ] {
        let errors = Schema::flat().with_places([(field, vec![place.clone()])]).unwrap_err();
        assert!(matches!(errors[..], [SchemaError::Place { .. }]), "{field} {place:?}: {errors:?}");
    }
    for count in [0, Places::MAX + 1] {
        let places = vec![Place::Pointer("/a"); count];
        let errors = Schema::flat().with_places([(Field::LoadId, places)]).unwrap_err();
        assert_eq!(errors, [SchemaError::Places { field: Field::LoadId, found: count }]);
    }
}

#[test]
fn every_bad_pointer_is_told_and_only_then_what_does_not_go_together() {
    let changes = [(Field::EventId, "id"), (Field::LoadId, "/status"), (Field::Sequence, "/a~")];
    let errors = Schema::flat().with_all(changes).unwrap_err();
    let faults: Vec<_> = errors
        .iter()
        .map(|error| match error {
            SchemaError::Pointer { fault, .. } => *fault,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(faults, [PointerFault::NoSlash, PointerFault::BadEscape]);
    let errors = Schema::flat().with_all([(Field::EventId, "/loadId"), (Field::Status, "/sequence")]);
    assert_eq!(errors.unwrap_err().len(), 2);
}

#[test]
fn two_fields_can_change_places() {
    let swapped =
        Schema::flat().with_all([(Field::EventId, "/loadId"), (Field::LoadId, "/eventId")]).unwrap();
    assert_eq!(keys(&swapped, Field::EventId), ["loadId"]);
}

#[test]
fn depth_has_bounds_and_leaves_room_for_the_pointers() {
    for depth_max in [0, DEPTH_LIMIT + 1] {
        assert_eq!(Schema::flat().with_depth_max(depth_max), Err(vec![SchemaError::DepthMax { depth_max }]));
    }
    assert!(Schema::flat().with_depth_max(1).is_ok());
    let errors = Schema::cloudevents().with_depth_max(1).unwrap_err();
    let messages = "load_id: `/data/loadId` has 2 levels, a record may have 1: raise `depth_max`";
    assert_eq!((errors.len(), errors[0].to_string().as_str()), (3, messages));
}
