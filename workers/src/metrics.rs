//! What Prometheus may know: lag, depth, outcomes. Names and labels are constants; no label holds an id.

use std::sync::LazyLock;

use prometheus::{
    Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, register_gauge, register_int_counter,
    register_int_counter_vec, register_int_gauge, register_int_gauge_vec,
};

macro_rules! metric {
    ($(#[$doc:meta])* $name:ident: $kind:ty = $register:expr) => {
        $(#[$doc])*
        pub static $name: LazyLock<$kind> = LazyLock::new(|| $register.expect("a valid metric"));
    };
}

metric!(
    /// Events that the relay has put into the mirror.
    MIRRORED: IntCounter = register_int_counter!("ludoteca_mirrored_events_total", "Events put into the mirror")
);
metric!(
    /// Seconds since the first event was recorded that is not mirrored yet; measured on a clock of its own.
    RELAY_LAG: Gauge =
        register_gauge!("ludoteca_relay_lag_seconds", "Age of the first event that is not in the mirror yet")
);
metric!(
    /// Seconds since the oldest writing transaction began: it holds the relay back.
    HELD_BACK: Gauge =
        register_gauge!("ludoteca_journal_held_back_seconds", "Age of the oldest transaction that writes")
);
metric!(
    /// 1 while the relay is halted because mirror and journal contradict each other.
    RELAY_HALTED: Gauge = register_gauge!("ludoteca_relay_halted", "Whether mirror and journal contradict each other")
);
metric!(
    /// Events that the notary has read and not signed; tree heads are among them.
    NOTARY_UNSIGNED: IntGauge =
        register_int_gauge!("ludoteca_notary_unsigned_events", "Events that no tree head covers yet")
);
metric!(
    /// 1 while the notary signs nothing because the mirror is not what it was when it was signed.
    NOTARY_HALTED: IntGauge =
        register_int_gauge!("ludoteca_notary_halted", "Whether the mirror contradicts what was signed")
);
metric!(
    /// Events that a projection has still to take.
    PROJECTION_BEHIND: IntGaugeVec =
        register_int_gauge_vec!("ludoteca_projection_behind_events", "Events waiting for a projection", &["projection"])
);
metric!(
    /// Events that a projection could not apply since this process began.
    PARKED: IntCounterVec =
        register_int_counter_vec!("ludoteca_parked_events_total", "Events that were parked", &["projection"])
);
metric!(
    /// Events that the search index has still to take.
    INDEX_BEHIND: IntGauge = register_int_gauge!("ludoteca_index_behind_events", "Events waiting for the search index")
);
metric!(
    /// How often the search index could not be written since this process began; each time it is tried again.
    INDEX_FAILURES: IntCounter =
        register_int_counter!("ludoteca_index_failures_total", "Failed writes of the search index")
);
metric!(
    /// Payment outcomes, by who reported them.
    OUTCOMES: IntCounterVec =
        register_int_counter_vec!("ludoteca_payment_outcomes_total", "Payment outcomes", &["by", "outcome"])
);
metric!(
    /// What the reconciler found out.
    RECONCILED: IntCounterVec =
        register_int_counter_vec!("ludoteca_reconciled_total", "What the reconciler found out", &["outcome"])
);
metric!(
    /// 1 while the PSP cannot be used: it does not take our key, or cannot be reached.
    PSP_BLOCKED: Gauge = register_gauge!("ludoteca_psp_blocked", "Whether the PSP refuses us or cannot be reached")
);
metric!(
    /// Mails handed over, or failed.
    MAILS: IntCounterVec = register_int_counter_vec!("ludoteca_mails_total", "Mails", &["outcome"])
);
