//! The fuzz targets' properties over their seeds, and over every beginning of a short one: found once, held for good.
//! `fuzz/run.sh` has the fuzzer itself.

use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// A seed no longer than this is also run cut off after each of its bytes.
const SHORT: usize = 300;

#[test]
fn the_properties_hold_for_every_seed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (name, target) in targets::TARGETS {
        let mut seeds: Vec<_> = std::fs::read_dir(folder.join(name))
            .unwrap_or_else(|error| panic!("no seeds of {name}: {error}"))
            .map(|entry| entry.expect("an entry").path())
            .collect();
        if name == "message" {
            let mail = std::fs::read_dir(folder.join("../../tests/mail")).expect("messages");
            seeds.extend(mail.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()));
            let faults = std::fs::read_dir(folder.join("../../tests/mail/faults")).expect("messages");
            seeds.extend(faults.map(|entry| entry.expect("an entry").path()));
        }
        assert!(seeds.len() >= 3, "{name} has {} seeds", seeds.len());
        for seed in seeds {
            let bytes = std::fs::read(&seed).expect("a seed");
            println!("{name} {}", seed.display());
            target(&bytes);
            for cut in 0..bytes.len().min(SHORT) {
                target(&bytes[..cut]);
            }
        }
    }
}

#[test]
fn every_target_can_be_run_by_the_fuzzer() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    for (name, _) in targets::TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"targets/{name}.rs\"")), "{name}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/targets/{name}.rs"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(text.contains(&format!("mailtrail_fuzz::{name}(bytes)")), "{text}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), targets::TARGETS.len());
}
