//! A report like that of a real run, for tests of what is made of reports: always the same numbers. Its two systems are a
//! few lines of arithmetic, not simulations: legacy's lag grows through the surge and is drained by a scale-out that
//! doubles deliveries; Loadline spills for the brokers in trouble and stays flat.

use super::{
    BrokerFigures, BrokerInfo, Figures, Incident, Issued, Latency, Phase, Report, Sample, SystemReport,
};

/// Milliseconds between two looks.
const STEP_MS: u64 = 200;
/// The end of the traffic, and of each system's run, in milliseconds.
const END_MS: u64 = 60_000;
const SURGE_MS: [u64; 2] = [15_000, 35_000];
const DOWN_MS: [u64; 2] = [18_000, 31_000];
const SCALE_OUT_MS: u64 = 42_000;

struct Member {
    id: &'static str,
    about: &'static str,
    /// Its part of all events.
    share: f64,
    /// What it can take a second.
    able: f64,
}

const WELL: &str = "well";
const CAST: [Member; 12] = [
    Member { id: "amber", about: WELL, share: 0.40, able: 900.0 },
    Member { id: "birch", about: WELL, share: 0.31, able: 900.0 },
    Member { id: "cobalt", about: WELL, share: 0.28, able: 900.0 },
    Member { id: "dune", about: WELL, share: 0.24, able: 900.0 },
    Member { id: "ember", about: WELL, share: 0.20, able: 900.0 },
    Member { id: "fern", about: WELL, share: 0.17, able: 900.0 },
    Member { id: "garnet", about: WELL, share: 0.15, able: 900.0 },
    Member { id: "heron", about: WELL, share: 0.12, able: 900.0 },
    Member { id: "cedar", about: "dead for a while", share: 0.22, able: 260.0 },
    Member { id: "indigo", about: "flaps: 5xx and timeouts", share: 0.18, able: 160.0 },
    Member { id: "jasper", about: "slow", share: 0.16, able: 70.0 },
    Member { id: "lichen", about: "limits: 429", share: 0.15, able: 60.0 },
];

/// The sample: `inc-4471` with twelve brokers, both systems, a minute long.
#[must_use]
pub fn sample() -> Report {
    let legacy = system("legacy");
    let loadline = system("loadline");
    let last = loadline.samples.last().map_or(0, |sample| sample.appended);
    Report {
        profile: "inc-4471".to_owned(),
        about: "Three times the load for twenty seconds, while one broker is slow, one dead, one limits and one flaps."
            .to_owned(),
        seed: 4471,
        version: env!("CARGO_PKG_VERSION"),
        issued: Issued {
            events: last - 1_912,
            records: last,
            duplicates: 1_900,
            faulty: 12,
            deliveries: loadline.brokers.iter().map(|broker| broker.owed).sum(),
        },
        phases: [("before", 0, SURGE_MS[0]), ("during", SURGE_MS[0], SURGE_MS[1]), ("after", SURGE_MS[1], END_MS)]
            .map(|(name, from_ms, to_ms)| Phase { name: name.to_owned(), from_ms, to_ms })
            .to_vec(),
        incidents: [
            ("jasper is slow: 900 ms an answer", 5_000, Some(50_000)),
            ("cedar is down", DOWN_MS[0], Some(DOWN_MS[1])),
            ("lichen limits: 429 with Retry-After", 18_500, Some(34_000)),
            ("indigo flaps: takes events, answers 5xx or nothing", 20_000, Some(33_000)),
            ("producer retries: 400 records again", 22_000, None),
            ("scale-out 3 to 12: 1,500 records replayed", SCALE_OUT_MS, None),
        ]
        .map(|(what, from_ms, to_ms)| Incident { from_ms, to_ms, what: what.to_owned() })
        .to_vec(),
        brokers: CAST
            .iter()
            .map(|of| BrokerInfo { id: of.id.to_owned(), about: of.about.to_owned(), well: of.about == WELL })
            .collect(),
        systems: vec![legacy, loadline],
    }
}

/// Noise in -1..1 that is the same each time.
fn noise(seed: u64) -> f64 {
    let mut x = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn within(at_ms: u64, [from, to]: [u64; 2]) -> bool {
    (from..to).contains(&at_ms)
}

/// Events appended from the start until then.
fn appended(at_ms: u64) -> f64 {
    let at = at_ms as f64 / 1000.0;
    let surge = (at.min(35.0) - 15.0).max(0.0);
    220.0 * at + 440.0 * surge + 6.0 * noise(at_ms)
}

fn down(of: &Member, at_ms: u64) -> bool {
    of.id == "cedar" && within(at_ms, DOWN_MS)
}

fn system(name: &str) -> SystemReport {
    let is_legacy = name == "legacy";
    let mut settled = 0.0_f64;
    let mut repeats = 0.0;
    let mut taken = [0.0_f64; CAST.len()];
    let mut samples = Vec::new();
    for nth in 1..=END_MS / STEP_MS {
        let at_ms = nth * STEP_MS;
        let there = appended(at_ms).max(settled);
        let room = if is_legacy { legacy_pace(at_ms) } else { 2_400.0 } * STEP_MS as f64 / 1000.0;
        let behind = if is_legacy { 20.0 } else { 60.0 + 45.0 * noise(nth ^ 7) };
        settled = (settled + room).min(there - behind.min(there)).max(settled);
        let again = if is_legacy { repeated(at_ms) } else { 1.0 };
        repeats += (again - 1.0) * 0.4 * room;
        for (of, taken) in CAST.iter().zip(&mut taken) {
            let open = if is_legacy { settled * of.share * again } else { settled * of.share };
            let most = *taken + of.able * (1.0 + 0.06 * noise(nth * 31)) * STEP_MS as f64 / 1000.0;
            *taken = if down(of, at_ms) { *taken } else { open.min(most).max(*taken) };
        }
        let spilled: f64 =
            CAST.iter().zip(taken).map(|(of, taken)| (settled * of.share - taken).max(0.0)).sum();
        let lag = (there - settled) as u64;
        samples.push(Sample {
            at_ms,
            appended: there as u64,
            read: (settled + if is_legacy { 40.0 } else { 20.0 }) as u64,
            lag,
            oldest_age_ms: age(is_legacy, lag, at_ms),
            in_flight: if is_legacy { 3 } else { 90 },
            spilled: if is_legacy { 0 } else { spilled as u64 },
            held: !is_legacy && (within(at_ms, [24_000, 25_400]) || within(at_ms, [28_000, 28_800])),
            late_ms: 0,
            memory: Some(if is_legacy { 38 << 20 } else { 61 << 20 }),
            taken: taken.map(|taken| taken as u64).to_vec(),
            states: CAST
                .iter()
                .map(|of| if down(of, at_ms) { "open" } else { "healthy" }.to_owned())
                .collect(),
            p99_ms: Some(p99(is_legacy, age(is_legacy, lag, at_ms) as f64, nth)),
        });
    }
    reported(name, samples, repeats as u64)
}

/// What legacy gets done in a second.
fn legacy_pace(at_ms: u64) -> f64 {
    match at_ms {
        _ if within(at_ms, DOWN_MS) => 18.0 + 14.0 * noise(at_ms),
        SCALE_OUT_MS.. => 1_500.0,
        _ => 232.0,
    }
}

/// How often legacy sends what it sends.
fn repeated(at_ms: u64) -> f64 {
    match at_ms {
        0..20_000 => 1.0,
        SCALE_OUT_MS.. => 1.6,
        _ => 1.15,
    }
}

fn age(is_legacy: bool, lag: u64, at_ms: u64) -> u64 {
    let pace = if is_legacy { 420.0 } else { 1_800.0 };
    ((lag as f64 / pace * 1000.0) as u64).min(at_ms)
}

fn p99(is_legacy: bool, age: f64, nth: u64) -> f64 {
    if is_legacy { age + 190.0 + 40.0 * noise(nth) } else { 38.0 + 7.0 * noise(nth * 13) }
}

fn reported(name: &str, samples: Vec<Sample>, repeats: u64) -> SystemReport {
    let is_legacy = name == "legacy";
    let ms = |p50_ms, p99_ms| Some(Latency { p50_ms, p99_ms });
    let latency = if is_legacy {
        vec![ms(61.0, 214.0), ms(11_840.0, 27_310.0), ms(4_020.0, 28_950.0)]
    } else {
        vec![ms(11.4, 38.2), ms(13.9, 44.6), ms(11.1, 37.5)]
    };
    let end = samples.last().cloned().unwrap_or_default();
    let owed: Vec<u64> = CAST.iter().map(|of| (appended(END_MS) * of.share) as u64).collect();
    let brokers: Vec<BrokerFigures> = owed
        .into_iter()
        .zip(CAST)
        .map(|(owed, of)| BrokerFigures {
            owed,
            delivered: owed,
            duplicates: if is_legacy {
                (repeats as f64 * of.share) as u64
            } else {
                u64::from(of.id == "indigo") * 17
            },
            explained_duplicates: u64::from(of.id == "indigo") * 17,
            out_of_order: if is_legacy { (repeats as f64 * of.share * 0.3) as u64 } else { 0 },
            latency: if of.about == WELL { latency.clone() } else { vec![None; 3] },
            ..BrokerFigures::default()
        })
        .collect();
    let sum = |of: fn(&BrokerFigures) -> u64| brokers.iter().map(of).sum::<u64>();
    let duplicates = sum(|broker| broker.duplicates);
    let figures = Figures {
        peak_lag: samples.iter().map(|sample| sample.lag).max().unwrap_or(0),
        peak_age_ms: samples.iter().map(|sample| sample.oldest_age_ms).max().unwrap_or(0),
        drain_ms: Some(if is_legacy { 17_200 } else { 200 }),
        spill_drain_ms: (!is_legacy).then_some(9_000),
        lag_at_end: 0,
        taken: sum(|broker| broker.delivered) + duplicates,
        refused: if is_legacy { 9_311 } else { 143 },
        delivered: sum(|broker| broker.delivered),
        duplicates,
        explained_duplicates: 17,
        out_of_order: sum(|broker| broker.out_of_order),
        latency,
        peak_memory: end.memory,
        held_ms: samples.iter().filter(|sample| sample.held).count() as u64 * STEP_MS,
        peak_spilled: samples.iter().map(|sample| sample.spilled).max().unwrap_or(0),
        ..Figures::default()
    };
    SystemReport {
        name: name.to_owned(),
        figures,
        brokers,
        samples,
        violations: if is_legacy { violations() } else { Vec::new() },
        violation_count: if is_legacy { duplicates } else { 0 },
        missed_goals: Vec::new(),
    }
}

fn violations() -> Vec<String> {
    vec![
        "amber was given event e-07721 3 times, and 2 of its answers had reached the sender\n  \
         24.112 s  taken, answered 200 at 24.131 s\n  25.402 s  taken, answered 200 at 25.420 s\n  \
         42.918 s  taken, answered 200 at 42.940 s"
            .to_owned(),
        "birch was given event e-05210 of load LD-118 after e-05388 of the same load\n  \
         22.040 s  e-05388 taken\n  42.771 s  e-05210 taken"
            .to_owned(),
    ]
}
