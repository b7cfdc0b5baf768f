use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use octroi_igc::{DAY, Igc, Names};

use super::*;
use crate::evidence::certificate::enrolled::Enrolled;
use crate::evidence::certificate::enrolled::tests::enrolled;

const NOW: u64 = 1_800_000_000;

fn one(igc: &Igc, structure: &str, days: u64) -> Enrolled {
    enrolled(&igc.valid(&[structure], "O", "C", NOW - DAY, NOW + days * DAY).unwrap().der)
}

#[test]
fn every_structure_with_a_usable_certificate_stands_there_once() {
    let igc = Igc::at(Names::Test, NOW).unwrap();
    let mut all = vec![one(&igc, "4997", 10), one(&igc, "3187", 10), one(&igc, "3187", 20), one(&igc, "11", 10)];
    all.extend([one(&igc, "12", 10), one(&igc, "13", 1)]);
    all[3].withdrawn_at = Some(UnixSeconds(NOW));
    all[4].chain = None;
    let set = Set::new(all);
    assert_eq!(content(&set, UnixSeconds(NOW + 2 * DAY)), "3187:{PLAIN}:::::\n4997:{PLAIN}:::::\n");
    assert_eq!(content(&set, UnixSeconds(NOW + 15 * DAY)), "3187:{PLAIN}:::::\n");
    assert_eq!(content(&set, UnixSeconds(NOW + 21 * DAY)), "");
}

#[tokio::test]
async fn the_file_is_readable_for_all_and_written_only_where_it_is_not_as_it_should_be() {
    let (igc, folder) = (Igc::at(Names::Test, NOW).unwrap(), tempfile::tempdir().unwrap());
    let (enrolment, clock) = (Enrolment::default(), Clock::manual(UnixSeconds(NOW)));
    let below = folder.path().join("dovecot");
    let file = StructuresFile::new(below.clone(), enrolment.clone(), clock.clone());
    let path = below.join(NAME);
    assert!(file.keep().await.unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
    enrolment.publish(Set::new(vec![one(&igc, "3187", 10)]));
    assert_eq!((file.keep().await.unwrap(), file.keep().await.unwrap()), (true, false));
    assert_eq!(fs::read_to_string(&path).unwrap(), "3187:{PLAIN}:::::\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    fs::write(&path, "3187:{PLAIN}:::::\n9999:{PLAIN}:::::\n").unwrap();
    assert!(file.keep().await.unwrap(), "a line of somebody else's stays");
    clock.set(UnixSeconds(NOW + 11 * DAY));
    assert!(file.keep().await.unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
}

#[tokio::test]
async fn a_file_that_can_not_be_written_is_told_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("in-the-way");
    fs::write(&in_the_way, "").unwrap();
    let file = StructuresFile::new(in_the_way.clone(), Enrolment::default(), Clock::system());
    let told = file.keep().await.unwrap_err().to_string();
    assert!(told.contains(&in_the_way.join(NAME).display().to_string()), "{told}");
}
