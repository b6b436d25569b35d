//! Lanes: what must stay in order goes through one of sixteen, each with a consumer of its own and one message in
//! flight, whoever and however many read it (decision 0022).

use journal::CloudEvent;
use uuid::Uuid;

/// The names of all lanes.
pub(crate) const LANES: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

/// The lane of whatever stays in order with `partition`: the last digit of its id.
pub(crate) fn lane(partition: Uuid) -> char {
    partition.simple().to_string().pop().unwrap_or_default()
}

/// Where an event is published: so many subjects as there are kinds of events, times sixteen, however many events.
pub(crate) fn subject(event: &CloudEvent<'_>) -> String {
    format!("events.{}.{}.{}", event.aggregate, event.kind, lane(event.partitionkey))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_a_lane_and_the_same_one_each_time() {
        for n in 0..64 {
            let id = Uuid::from_u128(n << 64 | n);
            assert!(LANES.contains(&lane(id)), "{id}");
            assert!(id.to_string().ends_with(lane(id)));
        }
    }
}
